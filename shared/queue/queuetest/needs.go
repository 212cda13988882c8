package queuetest

import (
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func needsLaws() []Law {
	return []Law{
		{"DependencyIsDeployedFirst", dependencyIsDeployedFirst},
		{"ChainIsDeployedInItsOrder", chainIsDeployedInItsOrder},
		{"DependencyWithNothingToDoIsNoObstacle", dependencyWithNothingToDoIsNoObstacle},
		{"NewerPushesToADependencyStarveNobody", newerPushesToADependencyStarveNobody},
		{"NeverDeployedDependencyIsWaitedForInBounds", neverDeployedDependencyIsWaitedForInBounds},
		{"FailedDependencyFailsItsDependantsUntilItIsMended", failedDependencyFailsItsDependants},
		{"DeadDependencyFailsItsDependants", deadDependencyFailsItsDependants},
		{"OnlyTheNewestJobComesBack", onlyTheNewestJobComesBack},
		{"PersonsDeployAnswersNoPush", personsDeployAnswersNoPush},
		{"WaitingDependantIsSupersededAndCancelled", waitingDependantIsSupersededAndCancelled},
		{"CancelledDependencyLetsGo", cancelledDependencyLetsGo},
		{"CircleIsRejectedAndComesBack", circleIsRejectedAndComesBack},
		{"DestroyWaitsForNobody", destroyWaitsForNobody},
		{"FailedDependencyRevivesNobody", failedDependencyRevivesNobody},
		{"PersonsDeployParksWhatIsWoken", personsDeployParksWhatIsWoken},
		{"DestroyedDependencyCountsForNothing", destroyedDependencyCountsForNothing},
	}
}

// needing gives a tree a new generation: "web: db cache" is an app and what it depends on.
func (w *world) needing(c job.Config, at int64, lines ...string) {
	var list []catalog.Entry
	for _, l := range lines {
		app, needs, _ := strings.Cut(l, ":")
		e := entries(app)[0]
		e.DependsOn = strings.Fields(needs)
		list = append(list, e)
	}
	gen, conflicts := w.write(c, list)
	w.is("conflicts", len(conflicts), 0)
	w.turn(c, gen, at, true)
	w.must(w.q.DropGenerations(w.ctx, c))
}

// waits checks that a job waits for an app, and spends nothing on it.
func (w *world) waits(j job.Job, app string) {
	r := w.record(j)
	w.is("state of "+j.Reason, r.State, queue.Delayed)
	w.is("what it waits for", r.WaitsFor, app)
	w.is("it says so", strings.Contains(r.Detail, "waits for "+app), true)
	w.is("attempts that it spent", r.Attempt, 0)
}

// ended checks how a job ended for another app's sake.
func (w *world) ended(j job.Job, o job.Outcome, why string) {
	r := w.record(j)
	w.is("state of "+j.Reason, r.State, string(o))
	if !strings.Contains(r.Result.Detail, why) {
		w.fail("detail is %q, want %q", r.Result.Detail, why)
	}
	w.is("attempts that it spent", r.Attempt, 0)
	w.is("it has ended", r.Over() && !r.Ended.IsZero(), true)
}

func dependencyIsDeployedFirst(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db := source("web", "", "c1", 1000), source("db", "", "c1", 1000)
	w.push("waiting waiting", web, db)
	c := w.start(db)
	w.waits(web, "db")
	w.idle()
	w.finish(c, job.Created)
	w.state(web, queue.Waiting)
	w.is("what it waits for", w.record(web).WaitsFor, "")
	c = w.start(web)
	w.is("attempt", c.Attempt, 1)
	w.is("commit", c.Wish.Source.Commit, "c1")
	w.finish(c, job.Created)
	w.idle()
}

func chainIsDeployedInItsOrder(w *world) {
	w.needing(tree(""), 1000, "a: b c", "b: c", "c:")
	a, b, c := source("a", "", "c1", 1000), source("b", "", "c1", 1000), source("c", "", "c1", 1000)
	w.push("waiting waiting waiting", a, b, c)
	held := w.start(c)
	w.waits(a, "b")
	w.waits(b, "c")
	w.finish(held, job.Created)
	for _, j := range []job.Job{b, a} {
		w.finish(w.start(j), job.Created)
	}
	w.idle()
}

func dependencyWithNothingToDoIsNoObstacle(w *world) {
	w.needing(tree(""), 1000, "web: db outside", "db:")
	db, web, plan := source("db", "", "c1", 1000), source("web", "", "c1", 2000), person(job.Plan, "db", 2000)
	w.push("waiting", db)
	w.finish(w.start(db), job.Created)
	w.push("waiting", plan)
	w.start(plan)
	w.push("waiting", web)
	w.finish(w.start(web), job.Created)
}

func newerPushesToADependencyStarveNobody(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db, next := source("web", "", "c1", 1000), source("db", "", "c1", 1000), source("db", "c1", "c2", 2000)
	w.push("waiting waiting", web, db)
	c := w.start(db)
	w.waits(web, "db")
	w.push("parked", next)
	w.finish(c, job.Created)
	c = w.start(web)
	w.take(next)
	w.finish(c, job.Created)
	// one that is not older than what is deployed waits for the job at hand
	later := source("web", "c1", "c2", 3000)
	w.push("waiting", later)
	w.idle()
	w.waits(later, "db")
}

func deadDependencyFailsItsDependants(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	w.q.Times.Lost, w.q.Times.Hold = 1, 0
	web, db := source("web", "", "c1", 1000), source("db", "", "c1", 1000)
	w.push("waiting waiting", web, db)
	w.start(db)
	w.due()
	w.state(db, "failed")
	w.idle()
	w.ended(web, job.Failed, "db, which it depends on, was last failed")
}

func personsDeployAnswersNoPush(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	hand, db, web := person(job.Deploy, "db", 9000), source("db", "", "c1", 1000), source("web", "", "c1", 1000)
	c := w.enter(hand)
	w.push("parked waiting", db, web)
	w.idle()
	w.waits(web, "db")
	w.finish(c, job.Created)
	c = w.start(db)
	w.waits(web, "db")
	w.finish(c, job.Updated)
	w.start(web)
}

func waitingDependantIsSupersededAndCancelled(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, newer, db := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000), source("db", "", "c1", 1000)
	w.push("waiting waiting", web, db)
	c := w.start(db)
	w.waits(web, "db")
	w.push("waiting", newer)
	w.state(web, "superseded")
	w.idle()
	w.waits(newer, "db")
	w.must(w.cancelled(newer))
	w.state(newer, "cancelled")
	w.finish(c, job.Created)
	w.idle()
}

func (w *world) cancelled(j job.Job) error {
	_, err := w.q.Cancel(w.ctx, j.ID)
	w.audit()
	return err
}

func cancelledDependencyLetsGo(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	db, next, web := source("db", "", "c1", 1000), source("db", "c1", "c2", 2000), source("web", "", "c1", 2000)
	w.push("waiting", db)
	w.finish(w.start(db), job.Created)
	w.push("waiting waiting", web, next)
	w.take(next)
	w.waits(web, "db")
	l, err := w.q.Lapse(w.ctx, next.ID, 1, "gone")
	w.must(err)
	w.is("lapsed", l, true)
	w.must(w.cancelled(next))
	w.start(web)
}

func destroyWaitsForNobody(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	db, gone := source("db", "", "c1", 1000), destroy("web", "", "k1", 2000)
	w.push("waiting", db)
	w.take(db)
	w.push("waiting", gone)
	w.finish(w.start(gone), job.Updated)
}

func personsDeployParksWhatIsWoken(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	web, db, hand := source("web", "", "c1", 1000), source("db", "", "c1", 1000), person(job.Deploy, "web", 5000)
	w.push("waiting waiting", web, db)
	c := w.start(db)
	w.waits(web, "db")
	held := w.enter(hand)
	w.finish(c, job.Created)
	w.state(web, queue.Parked)
	w.idle()
	w.finish(held, job.Created)
	w.start(web)
}

func destroyedDependencyCountsForNothing(w *world) {
	w.needing(tree(""), 1000, "web: db", "db:")
	db, bad := config("db", "", "k1", 5000), config("db", "k1", "k2", 5500)
	gone, web := destroy("db", "k2", "k3", 6000), source("web", "", "c1", 1000)
	w.push("waiting", db)
	w.finish(w.start(db), job.Created)
	w.push("waiting", bad)
	w.finish(w.start(bad), job.Rejected)
	w.push("waiting", gone)
	w.finish(w.start(gone), job.Updated)
	w.push("waiting", web)
	w.idle()
	w.waits(web, "db")
	again := config("db", "k3", "k4", 7000)
	w.push("waiting", again)
	w.finish(w.start(again), job.Created)
	w.start(web)
}
