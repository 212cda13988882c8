package queuetest

import (
	"errors"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func grantLaws() []Law {
	return []Law{
		{"SealedLaunchIsForTheGrantedMachine", sealedLaunchIsForTheGrantedMachine},
		{"GrantIsForItsAttempt", grantIsForItsAttempt},
		{"GrantEndsWithItsAttempt", grantEndsWithItsAttempt},
		{"UnsealedLaunchNeedsNoGrant", unsealedLaunchNeedsNoGrant},
		{"GrantSeesTheCatalog", grantSeesTheCatalog},
	}
}

func (w *world) grant(l queue.Launch, machine string) queue.Granted {
	g, err := w.q.Grant(w.ctx, l.Job.ID, l.Attempt, machine)
	w.must(err)
	w.audit()
	return g
}

func (w *world) noGrant(l queue.Launch, machine string) {
	if _, err := w.q.Grant(w.ctx, l.Job.ID, l.Attempt, machine); !errors.Is(err, queue.ErrRefused) {
		w.fail("grant gave %v, want ErrRefused", err)
	}
	w.audit()
}

func sealedLaunchIsForTheGrantedMachine(w *world) {
	w.q.Seal = true
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	l := w.take(j)
	w.refused(l, machine(l))
	w.refused(l, "")
	w.noGrant(l, "")
	w.is("granted job", w.grant(l, machine(l)).Job.ID, j.ID)
	w.noGrant(l, "thief")
	w.refused(l, "thief")
	w.grant(l, machine(l))
	c := w.claim(l)
	w.is("fence", w.claim(l).Fence, c.Fence)
	w.grant(l, machine(l))
	w.noGrant(l, "thief")
	w.finish(c, job.Created)
	w.noGrant(l, machine(l))
}

func grantIsForItsAttempt(w *world) {
	w.q.Seal, w.q.Times.Backoff = true, 0
	j := source("web", "", "c1", 1000)
	w.noGrant(queue.Launch{Job: j, Attempt: 1}, "m")
	w.push("waiting", j)
	w.noGrant(queue.Launch{Job: j, Attempt: 0}, "m")
	l := w.take(j)
	w.noGrant(queue.Launch{Job: j, Attempt: 2}, "m")
	w.grant(l, "m")
	_, err := w.q.Lapse(w.ctx, j.ID, 1, "gone")
	w.must(err)
	next := w.take(j)
	w.noGrant(l, "m")
	w.refused(next, "m")
	w.grant(next, machine(next))
	w.claim(next)
	w.noGrant(next, "m")
}

func grantEndsWithItsAttempt(w *world) {
	w.q.Times.Run = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.noGrant(w.take(j), "m")
}

func unsealedLaunchNeedsNoGrant(w *world) {
	w.q.Seal, w.q.Times.Unlaunch = true, 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.must(w.q.Unlaunch(w.ctx, w.take(j)))
	w.q.Seal = false
	l := w.take(j)
	w.grant(l, "somebody")
	w.claim(l)
}

func grantSeesTheCatalog(w *world) {
	c := tree("prod")
	gen, _ := w.write(c, entries("web"))
	w.must(w.q.WriteIncludes(w.ctx, c, gen, []catalog.Include{{Repo: libRepo, Ref: "v1"}, {Repo: libRepo}}))
	w.turn(c, gen, 1000, true)
	web, read, outside := source("web", "", "c1", 2000), sync(c, "k1", "k2", 2000), source("outside", "", "c1", 2000)
	w.push("waiting waiting waiting", web, read, outside)
	g := w.grant(w.take(web), "m")
	w.is("entry", g.Entry.App, "web")
	w.is("tree", g.Entry.Config, c)
	w.is("includes", len(g.Includes), 2)
	w.is("the second one", g.Includes[1], catalog.Include{Repo: libRepo, Ref: "v1"})
	w.is("deadline", time.Until(g.Deadline).Round(time.Minute), time.Hour)
	g = w.grant(w.take(read), "m")
	w.is("no entry", g.Entry == nil, true)
	w.is("includes", len(g.Includes), 2)
	g = w.grant(w.take(outside), "m")
	w.is("no entry", g.Entry == nil, true)
	w.is("includes", len(g.Includes), 0)
	look := pull(c, 7, "h1", 3000)
	w.push("waiting", look)
	w.is("includes", len(w.grant(w.take(look), "m").Includes), 2)
}
