package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func neverDeployedDependencyIsWaitedForInBounds(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db := source("web", "", "c1", 1000), source("db", "", "c1", 2000)
	w.push("waiting", web)
	w.idle()
	w.waits(web, "db")
	w.is("waits for", time.Until(w.record(web).Due).Round(time.Minute), w.q.Times.Needed)
	// the other's job wakes it, and it is still within its bounds
	w.push("waiting", db)
	w.must(w.cancelled(db))
	w.state(web, queue.Waiting)
	w.q.Times.Needed = 0
	w.idle()
	w.ended(web, job.Failed, "db, which it depends on, was never deployed; run `flycd dispatch db`")
	w.dead(web, w.record(web).Detail)
	again := person(job.Deploy, "db", 3000)
	w.push("waiting", again)
	w.finish(w.start(again), job.Created)
	w.state(web, queue.Waiting)
	w.is("ended", w.record(web).Ended.IsZero(), true)
	c := w.start(web)
	w.is("commit", c.Wish.Source.Commit, "c1")
	w.finish(c, job.Created)
	w.idle()
}

func failedDependencyFailsItsDependants(w *world) {
	w.needing(tree(""), 1000, "a: b", "b: c", "c:")
	a, b, c := source("a", "", "c1", 1000), source("b", "", "c1", 1000), source("c", "", "c1", 1000)
	w.push("waiting waiting waiting", a, b, c)
	w.finish(w.start(c), job.Rejected)
	w.idle()
	w.ended(b, job.Failed, "c, which it depends on, was last rejected")
	w.ended(a, job.Failed, "b, which it depends on, was last failed")
	w.is("last of b", w.app("b").LastOutcome, job.Failed)
	mended := source("c", "c1", "c2", 2000)
	w.push("waiting", mended)
	w.finish(w.start(mended), job.Created)
	w.finish(w.start(b), job.Created)
	w.finish(w.start(a), job.Created)
	w.idle()
	later := source("b", "c1", "c3", 3000)
	w.push("waiting", later)
	w.start(later)
}

func onlyTheNewestJobComesBack(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db := source("web", "", "c1", 1000), source("db", "", "c1", 1000)
	w.push("waiting waiting", web, db)
	w.finish(w.start(db), job.Rejected)
	w.idle()
	w.ended(web, job.Failed, "not deployed")
	newer, mended := source("web", "c1", "c2", 2000), source("db", "c1", "c2", 2000)
	w.push("waiting waiting", newer, mended)
	w.finish(w.start(mended), job.Created)
	w.state(web, "failed")
	w.finish(w.start(newer), job.Created)
	w.idle()
	// one that was called off has ended for good
	broken, off, fixed := source("db", "c2", "c3", 3000), source("web", "c2", "c3", 3000), source("db", "c3", "c4", 4000)
	w.push("waiting", broken)
	w.finish(w.start(broken), job.Rejected)
	w.push("waiting", off)
	w.idle()
	w.ended(off, job.Failed, "not deployed")
	state, err := w.q.Cancel(w.ctx, off.ID)
	w.must(err)
	w.is("state", state, "failed")
	w.push("waiting", fixed)
	w.finish(w.start(fixed), job.Created)
	w.idle()
	w.state(off, "failed")
}

func circleIsRejectedAndComesBack(w *world) {
	w.needing(tree("a"), 1000, "a: b")
	w.needing(tree("b"), 1000, "b: c", "c: a", "d: b")
	a, b, c := source("a", "", "c1", 1000), source("b", "", "c1", 1000), source("c", "", "c1", 1000)
	w.push("waiting waiting waiting", a, b, c)
	w.idle()
	w.ended(a, job.Rejected, "a → b → c → a")
	w.ended(b, job.Rejected, "b → c → a → b")
	w.ended(c, job.Rejected, "c → a → b → c")
	d := source("d", "", "c1", 1000)
	w.push("waiting", d)
	w.idle()
	w.ended(d, job.Failed, "b, which it depends on, was last rejected")
	w.needing(tree("a"), 2000, "a:")
	mended := config("a", "", "k2", 2000)
	w.push("waiting", mended)
	for _, j := range []job.Job{mended, c, b, d} {
		w.finish(w.start(j), job.Created)
	}
	w.idle()
}

func failedDependencyRevivesNobody(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db, worse := source("web", "", "c1", 1000), source("db", "", "c1", 1000), source("db", "c1", "c2", 2000)
	w.push("waiting waiting", web, db)
	w.finish(w.start(db), job.Rejected)
	w.idle()
	w.ended(web, job.Failed, "not deployed")
	w.push("waiting", worse)
	w.finish(w.start(worse), job.Failed)
	w.ended(web, job.Failed, "not deployed")
	w.idle()
}
