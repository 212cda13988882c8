package queuetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func suspendLaws() []Law {
	return []Law{
		{"SuspendedAppWaits", suspendedAppWaits},
		{"SuspendedTreeHoldsItsSyncsAndItsApps", suspendedTreeHoldsItsSyncsAndItsApps},
		{"PersonsJobPassesASuspension", personsJobPassesASuspension},
		{"NewerPushTakesNothingFromAPerson", newerPushTakesNothingFromAPerson},
		{"GivenBackPersonsJobHandsOn", givenBackPersonsJobHandsOn},
		{"PersonsDestroyLetsNoDeployPass", personsDestroyLetsNoDeployPass},
		{"LatePersonsJobLetsTheNewerOnePass", latePersonsJobLetsTheNewerOnePass},
		{"ActiveJobOutlastsASuspension", activeJobOutlastsASuspension},
		{"SuspensionLastsUntilItIsEnded", suspensionLastsUntilItIsEnded},
		{"ResumedJobParksWhileAPersonDeploys", resumedJobParksWhileAPersonDeploys},
		{"HeldJobIsCancelled", heldJobIsCancelled},
		{"SuspensionsAreListed", suspensionsAreListed},
		{"ManyAreResumed", manyAreResumed},
	}
}

func (w *world) suspend(subject string) {
	w.must(w.q.Suspend(w.ctx, subject, queue.Suspension{By: "eve", Why: "no " + subject}))
}

// resume checks which jobs go on.
func (w *world) resume(subject string, want ...job.Job) {
	ids, err := w.q.Resume(w.ctx, subject)
	w.must(err)
	w.audit()
	woken := map[job.ID]bool{}
	for _, id := range ids {
		woken[id] = true
	}
	w.is("resumed jobs", len(ids), len(want))
	for _, j := range want {
		w.is(j.Reason+" goes on", woken[j.ID], true)
	}
}

// held checks that a job waits for the end of a suspension, and spends nothing on it.
func (w *world) held(j job.Job, subject string) {
	r := w.record(j)
	w.is("state of "+j.Reason, r.State, queue.Delayed)
	w.is("what holds it back", r.Suspended, subject)
	w.is("it says so", strings.Contains(r.Detail, subject+" is suspended"), true)
	w.is("attempts that it spent", r.Attempt, 0)
}

// byHand is a deploy of web that a person asks the queue for.
func byHand(at int64) job.Job {
	j := person(job.Deploy, "web", at)
	j.Reason = job.ByDispatch
	return j
}

func suspendedAppWaits(w *world) {
	a, b, other := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000), source("api", "", "c1", 1000)
	w.push("waiting", a)
	w.suspend("web")
	w.idle()
	w.held(a, "web")
	w.push("waiting waiting", b, other)
	w.state(a, "superseded")
	w.take(other)
	w.idle()
	w.held(b, "web")
	w.resume("web", b)
	w.is("what holds it back", w.record(b).Suspended, "")
	w.is("detail", w.record(b).Detail, "")
	c := w.start(b)
	w.is("commit", c.Wish.Source.Commit, "c2")
	w.finish(c, job.Updated)
	w.resume("web")
}

func suspendedTreeHoldsItsSyncsAndItsApps(w *world) {
	c := tree("prod")
	w.sync(c, 1000, "web", "api")
	web, gone, read := source("web", "", "c1", 2000), destroy("api", "", "k2", 2000), sync(c, "k1", "k2", 2000)
	other, look := source("other", "", "c1", 2000), person(job.Plan, "web", 2000)
	w.suspend(c.ID())
	w.push("waiting waiting waiting waiting waiting", web, gone, read, other, look)
	w.take(other)
	w.take(look)
	w.idle()
	for _, j := range []job.Job{web, gone, read} {
		w.held(j, c.ID())
	}
	w.suspend("web")
	w.resume(c.ID(), web, gone, read)
	list, err := w.q.TakeMany(w.ctx, most, most)
	w.must(err)
	w.is("taken", len(list), 2)
	w.held(web, "web")
	w.resume("web", web)
	w.take(web)
}

func personsJobPassesASuspension(w *world) {
	a, b, hand := source("web", "", "c1", 1000), source("web", "c1", "c2", 3000), byHand(2000)
	w.suspend("web")
	w.push("waiting", a)
	w.idle()
	w.push("waiting", hand)
	w.state(a, "superseded")
	c := w.start(hand)
	w.is("commit", c.Wish.Source.Commit, "c1")
	w.push("parked", b)
	w.finish(c, job.Updated)
	w.idle()
	w.held(b, "web")
}

func newerPushTakesNothingFromAPerson(w *world) {
	first, hand, a, b := byHand(1000), byHand(2000), source("web", "", "c1", 3000), source("web", "c1", "c2", 4000)
	w.suspend("web")
	w.push("waiting", first)
	c := w.start(first)
	w.push("parked", hand)
	w.push("parked", a)
	w.push("parked", b)
	w.finish(c, job.Updated)
	w.take(b)
}

func givenBackPersonsJobHandsOn(w *world) {
	hand, a := byHand(1000), source("web", "", "c1", 2000)
	w.suspend("web")
	w.push("waiting", hand)
	c := w.start(hand)
	w.push("parked", a)
	w.giveBack(c, queue.GiveBack{Failed: true}, false)
	w.state(hand, "superseded")
	w.take(a)
}

func personsDestroyLetsNoDeployPass(w *world) {
	gone, named := person(job.Destroy, "web", 1000), config("web", "k1", "k2", 2000)
	gone.Reason = job.ByDispatch
	w.suspend("web")
	w.push("waiting", gone)
	w.push("waiting", named)
	w.state(gone, "superseded")
	w.idle()
	w.held(named, "web")
}

func latePersonsJobLetsTheNewerOnePass(w *world) {
	hand, a := byHand(1000), source("web", "", "c1", 2000)
	w.suspend("web")
	w.push("waiting", a)
	w.idle()
	w.push("superseded", hand)
	w.take(a)
}

func activeJobOutlastsASuspension(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.suspend("web")
	w.finish(c, job.Created)
	w.resume("web")
	w.push("waiting", b)
	c = w.start(b)
	w.suspend("web")
	w.giveBack(c, queue.GiveBack{After: time.Millisecond}, true)
	w.release(b)
	w.idle()
	w.is("attempts that it spent", w.record(b).FailedAttempts+w.record(b).Lost, 0)
	w.is("what holds it back", w.record(b).Suspended, "web")
}

func suspensionLastsUntilItIsEnded(w *world) {
	w.q.Times.Held = 0
	a := source("web", "", "c1", 1000)
	w.suspend("web")
	w.push("waiting", a)
	w.idle()
	for range 3 {
		w.due()
		w.held(a, "web")
	}
	w.idle()
	w.resume("web", a)
	w.take(a)
}

func resumedJobParksWhileAPersonDeploys(w *world) {
	a := source("web", "", "c1", 1000)
	w.suspend("web")
	w.push("waiting", a)
	w.idle()
	c := w.enter(person(job.Deploy, "web", 5000))
	w.resume("web", a)
	w.state(a, queue.Parked)
	w.finish(c, job.Updated)
	w.take(a)
}

func heldJobIsCancelled(w *world) {
	a := source("web", "", "c1", 1000)
	w.suspend("web")
	w.push("waiting", a)
	w.idle()
	w.must(w.cancelled(a))
	w.state(a, "cancelled")
	w.resume("web")
	w.idle()
}

func suspensionsAreListed(w *world) {
	c := tree("prod")
	w.suspend("web")
	list, err := w.q.Suspensions(w.ctx)
	w.must(err)
	since := list["web"].Since
	w.is("since when", time.Since(since).Round(time.Hour), time.Duration(0))
	w.until("a moment has passed", func() bool { return time.Since(since) > 5*time.Millisecond })
	w.must(w.q.Suspend(w.ctx, "web", queue.Suspension{By: "bob", Why: "a freeze of\nthe \"year\""}))
	w.suspend(c.ID())
	list, err = w.q.Suspensions(w.ctx)
	w.must(err)
	w.is("suspensions", len(list), 2)
	w.is("of web", list["web"], queue.Suspension{By: "bob", Why: "a freeze of\nthe \"year\"", Since: since})
	w.is("of the tree", list[c.ID()].By, "eve")
	w.resume("web")
	list, err = w.q.Suspensions(w.ctx)
	w.must(err)
	w.is("suspensions", len(list), 1)
}

func manyAreResumed(w *world) {
	c := tree("")
	var apps []string
	var jobs []job.Job
	for i := range 300 {
		apps = append(apps, fmt.Sprintf("app-%03d", i))
		jobs = append(jobs, source(apps[i], "", "c1", 1000))
	}
	w.sync(c, 1000, apps...)
	w.suspend(c.ID())
	_, _, err := w.q.Push(w.ctx, queue.Delivery{Jobs: jobs})
	w.must(err)
	w.idle()
	w.resume(c.ID(), jobs...)
	list, err := w.q.TakeMany(w.ctx, 1000, 1000)
	w.must(err)
	w.is("taken", len(list), 100)
}
