package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func orderLaws() []Law {
	return []Law{
		{"NewestWishWins", newestWishWins},
		{"LateOlderWishIsSupersededAtOnce", lateOlderWishIsSupersededAtOnce},
		{"LateOlderWishIsSupersededEvenAfterTheNewerWasDeployed", lateOlderWishIsSupersededEvenAfterTheNewerWasDeployed},
		{"OnATieTheFollowerIsNewer", onATieTheFollowerIsNewer},
		{"ATieThatCannotBeToldIsLeftToTheForge", aTieThatCannotBeToldIsLeftToTheForge},
		{"ATieThatWasDoneIsStillLeftToTheForge", aTieThatWasDoneIsStillLeftToTheForge},
		{"ForcedPushBackIsAThirdWish", forcedPushBackIsAThirdWish},
		{"HalvesAreKeptApart", halvesAreKeptApart},
		{"OlderHalfNeverOverwrites", olderHalfNeverOverwrites},
		{"SourcePushDoesNotContradictADestroy", sourcePushDoesNotContradictADestroy},
		{"NewerConfigTakesADestroyBack", newerConfigTakesADestroyBack},
		{"WrongClockPutsOffNoPush", wrongClockPutsOffNoPush},
		{"DeployedHalfIsStillThePins", deployedHalfIsStillThePins},
		{"NewerWishOvertakesABackoff", newerWishOvertakesABackoff},
	}
}

func newestWishWins(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	w.push("waiting", b)
	w.state(a, "superseded")
	w.is("superseded by", w.record(a).SupersededBy, b.ID)
	c := w.start(b)
	w.is("commit", c.Wish.Source.Commit, "c2")
	w.finish(c, job.Created)
	w.idle()
}

func lateOlderWishIsSupersededAtOnce(w *world) {
	older, newer := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", newer)
	w.push("superseded", older)
	w.is("superseded by", w.record(older).SupersededBy, newer.ID)
	w.is("commit", w.start(newer).Wish.Source.Commit, "c2")
}

func lateOlderWishIsSupersededEvenAfterTheNewerWasDeployed(w *world) {
	older, newer := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", newer)
	w.finish(w.start(newer), job.Created)
	w.push("superseded", older)
	w.idle()
}

func onATieTheFollowerIsNewer(w *world) {
	a, b := source("web", "c0", "c1", 1000), source("web", "c1", "c2", 1000)
	w.push("waiting", b)
	w.push("superseded", a)
	c := w.start(b)
	w.is("commit", c.Wish.Source.Commit, "c2")
	x, y := source("api", "c0", "c1", 1000), source("api", "c1", "c2", 1000)
	w.push("waiting", x)
	w.push("waiting", y)
	w.is("commit", w.start(y).Wish.Source.Commit, "c2")
}

func aTieThatCannotBeToldIsLeftToTheForge(w *world) {
	// c0 → c1 → c2 → c3 in one tick, delivered from both ends.
	last, first, middle := source("web", "c2", "c3", 1000), source("web", "c0", "c1", 1000), source("web", "c1", "c2", 1000)
	w.push("waiting", last)
	w.push("waiting", first)
	w.push("waiting", middle)
	c := w.start(middle)
	w.is("pinned commit", c.Wish.Source.Commit, "")
	w.is("ref", c.Wish.Source.Ref, mainRef)
	w.finish(c, job.Created)
	n := source("web", "c3", "c4", 2000)
	w.push("waiting", n)
	w.is("pinned commit of a later push", w.start(n).Wish.Source.Commit, "c4")
}

// Broken when: the second sync, whose wish the first one did, takes the commit of its own push for the head.
func aTieThatWasDoneIsStillLeftToTheForge(w *world) {
	c := tree("prod")
	early, head, late := sync(c, "k1", "k2", 1000), sync(c, "k3", "k4", 1000), sync(c, "k0", "k1", 1000)
	w.push("waiting", early)
	l := w.take(early)
	w.push("parked parked", head, late)
	w.state(head, "superseded")
	first := w.claim(l)
	w.is("pinned commit", first.Wish.Config.Commit, "")
	w.finish(first, job.Updated)
	second := w.start(late)
	w.is("half", second.Wish.Config != nil, true)
	w.is("pinned commit of what comes after", second.Wish.Config.Commit, "")
	w.is("its ref", second.Wish.Config.Ref, mainRef)
	w.finish(second, job.Unchanged)
}

func forcedPushBackIsAThirdWish(w *world) {
	a, b, back := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000), source("web", "c2", "c1", 3000)
	for _, j := range []job.Job{a, b, back} {
		w.push("waiting", j)
		c := w.start(j)
		w.is("commit", c.Wish.Source.Commit, j.Order.After)
		w.finish(c, job.Updated)
	}
}

func halvesAreKeptApart(w *world) {
	conf, code := config("web", "", "k1", 2000), source("web", "", "c1", 1000)
	w.push("waiting", conf)
	w.push("superseded", code)
	c := w.start(conf)
	w.is("config commit", c.Wish.Config.Commit, "k1")
	w.is("source commit", c.Wish.Source.Commit, "c1")
	w.is("source time", c.Wish.SourceOrder.Time, int64(1000))
	w.is("wanted digest", c.App.WantConfigDigest, "digest-k1")
	w.finish(c, job.Created)
	w.idle()
}

func olderHalfNeverOverwrites(w *world) {
	newer, conf, older := source("web", "c1", "c2", 2000), config("web", "", "k1", 3000), source("web", "", "c1", 1000)
	w.push("waiting", newer)
	w.push("waiting", conf)
	w.push("superseded", older)
	c := w.start(conf)
	w.is("source commit", c.Wish.Source.Commit, "c2")
	w.is("config commit", c.Wish.Config.Commit, "k1")
}

func sourcePushDoesNotContradictADestroy(w *world) {
	gone, code := destroy("web", "k1", "k2", 1000), source("web", "", "c1", 2000)
	w.push("waiting", gone)
	w.push("superseded", code)
	w.take(gone)
	w.push("waiting", source("api", "", "c1", 2000))
	w.push("waiting", destroy("api", "k1", "k2", 1000))
}

func newerConfigTakesADestroyBack(w *world) {
	gone, again := destroy("web", "k1", "k2", 1000), config("web", "k2", "k3", 2000)
	w.push("waiting", gone)
	w.push("waiting", again)
	w.state(gone, "superseded")
	w.finish(w.start(again), job.Created)
	w.push("superseded", destroy("web", "k0", "k1", 500))
}

// Broken when: a clock that is ahead puts off every push until its time has come, or a wish without a time
// counts as the oldest.
func wrongClockPutsOffNoPush(w *world) {
	now := time.Now().UnixMilli()
	ahead, timeless := source("web", "", "c1", now+int64(time.Hour/time.Millisecond)), config("web", "", "k1", 0)
	w.push("waiting", ahead)
	w.push("waiting", timeless)
	c := w.start(timeless)
	w.is("source", c.Wish.Source.Commit, "c1")
	for _, at := range []int64{c.Job.Order.Time, c.Wish.ConfigOrder.Time, c.Wish.SourceOrder.Time} {
		if at < now || at > now+int64(time.Minute/time.Millisecond) {
			w.fail("a wish counts from %d, want about %d", at, now)
		}
	}
	w.finish(c, job.Updated)
	w.push("waiting", source("web", "c1", "c2", time.Now().UnixMilli()+1000))
}

func deployedHalfIsStillThePins(w *world) {
	// The parked job's half was deployed with the first: its pin must not fall back to ls-remote.
	a, b := config("web", "", "k1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	l := w.take(a)
	w.push("parked", b)
	c := w.claim(l)
	w.is("source commit", c.Wish.Source.Commit, "c2")
	w.finish(c, job.Created)
	c = w.start(b)
	w.is("config half", c.Wish.Config == nil, true)
	w.is("source commit again", c.Wish.Source.Commit, "c2")
	w.finish(c, job.Unchanged)
}

func newerWishOvertakesABackoff(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	w.giveBack(w.start(a), queue.GiveBack{Failed: true}, true)
	w.state(a, queue.Delayed)
	w.push("waiting", b)
	w.state(a, "superseded")
	w.take(b)
}
