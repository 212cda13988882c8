package queuetest

import (
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func seenLaws() []Law {
	return []Law{
		{"SightIsOfItsGeneration", sightIsOfItsGeneration},
		{"LateSightTakesNothingBack", lateSightTakesNothingBack},
		{"SightKeepsOlderSyncsOut", sightKeepsOlderSyncsOut},
		{"SightIsTheClaimHolders", sightIsTheClaimHolders},
	}
}

// saw notes a sight of a generation of tree a.
func (w *world) saw(gen, at int64, sight string, want bool) {
	ok, err := w.q.Saw(w.ctx, queue.Switch{Config: tree("a"), Generation: gen, Commit: "k", Order: job.Order{Time: at}}, sight)
	w.must(err)
	w.is("noted "+sight, ok, want)
}

// seen checks what is noted of tree a.
func (w *world) seen(want string, gen int64) {
	got, n, err := w.q.Seen(w.ctx, tree("a").ID())
	w.must(err)
	w.is("sight", got, want)
	w.is("generation of the sight", n, gen)
}

func sightIsOfItsGeneration(w *world) {
	a := tree("a")
	w.seen("", 0)
	first, _ := w.write(a, entries("web"))
	w.saw(first, 1000, "before the switch", false)
	w.turn(a, first, 1000, true)
	w.seen("", 0)
	w.saw(first, 1000, "one", true)
	w.saw(first, 1000, "one", true)
	w.seen("one", first)
	second, _ := w.write(a, entries("web"))
	w.saw(second, 2000, "not yet", false)
	w.seen("one", first)
	w.turn(a, second, 2000, true)
	w.seen("", 0)
	w.saw(first, 3000, "of a generation that has gone", false)
	w.saw(second, 2000, "two", true)
	w.seen("two", second)
}

func lateSightTakesNothingBack(w *world) {
	a := tree("a")
	gen, _ := w.write(a, entries("web"))
	w.turn(a, gen, 2000, true)
	w.saw(gen, 1000, "late", false)
	w.seen("", 0)
	w.saw(gen, 3000, "newer", true)
	w.saw(gen, 2000, "late", false)
	w.seen("newer", gen)
}

// Broken when: a push that was found to change nothing is forgotten, and an older one that comes late is read as news.
func sightKeepsOlderSyncsOut(w *world) {
	a := tree("a")
	gen, _ := w.write(a, entries("web"))
	w.turn(a, gen, 1000, true)
	w.saw(gen, 3000, "same", true)
	late, _ := w.write(a, entries("api"))
	w.turn(a, late, 2000, false)
	w.entry("web", "a")
	w.turn(a, late, 4000, true)
	w.entry("api", "a")
}

// Broken when: who lost the claim on a sync says what the tree looks like.
func sightIsTheClaimHolders(w *world) {
	a := tree("a")
	gen, _ := w.write(a, entries("web"))
	w.turn(a, gen, 1000, true)
	j := person(job.Sync, "", 2000)
	j.Config = a
	w.push("waiting", j)
	c := w.start(j)
	for fence, want := range map[int64]bool{c.Fence: true, c.Fence + 1: false} {
		ok, err := w.q.Saw(w.ctx, queue.Switch{Config: a, Generation: gen, Order: job.Order{Time: 2000}, Fence: fence}, "x")
		w.must(err)
		w.is("noted", ok, want)
	}
}
