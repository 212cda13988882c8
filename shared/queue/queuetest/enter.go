package queuetest

import (
	"errors"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func enterLaws() []Law {
	return []Law{
		{"EnteredJobTakesTheAppsPlace", enteredJobTakesTheAppsPlace},
		{"NobodyEntersABusyApp", nobodyEntersABusyApp},
		{"EnteredJobHasOneAttempt", enteredJobHasOneAttempt},
		{"ReleasedJobParksWhileAPersonDeploys", releasedJobParksWhileAPersonDeploys},
	}
}

func (w *world) enter(j job.Job) *queue.Claim {
	c, err := w.q.Enter(w.ctx, j, "person")
	w.must(err)
	w.audit()
	return c
}

func enteredJobTakesTheAppsPlace(w *world) {
	hand, j := person(job.Deploy, "web", 5000), source("web", "", "c1", 1000)
	c := w.enter(hand)
	w.is("active", w.web().Active, hand.ID)
	w.push("parked", j)
	w.idle()
	w.is("fence of the same process", w.enter(hand).Fence, c.Fence)
	held, err := w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("stands", held.Stands, true)
	w.finish(c, job.Updated)
	w.is("last", w.web().Last, hand.ID)
	next := w.start(j)
	w.is("the wish of the push", next.Wish.Source.Commit, "c1")
	w.is("fence grows", next.Fence > c.Fence, true)
}

func nobodyEntersABusyApp(w *world) {
	j, first, second := source("api", "", "c1", 1000), person(job.Deploy, "api", 2000), person(job.Deploy, "api", 3000)
	w.push("waiting", j)
	w.enter(first)
	w.idle()
	_, err := w.q.Enter(w.ctx, second, "other")
	w.is("busy", errors.Is(err, queue.ErrBusy), true)
	w.audit()
	_, err = w.q.Job(w.ctx, second.ID)
	w.is("unknown", errors.Is(err, queue.ErrUnknown), true)
}

func releasedJobParksWhileAPersonDeploys(w *world) {
	j, hand := source("api", "", "c1", 1000), person(job.Deploy, "api", 2000)
	w.push("waiting", j)
	w.giveBack(w.start(j), queue.GiveBack{After: time.Millisecond}, true)
	c := w.enter(hand)
	w.until("the backoff is over", func() bool { return w.due().Released == 1 })
	w.state(j, queue.Parked)
	w.audit()
	w.idle()
	w.finish(c, job.Updated)
	w.start(j)
}

func enteredJobHasOneAttempt(w *world) {
	w.q.Times.Hold = time.Millisecond
	gone, j := person(job.Deploy, "web", 5000), source("web", "", "c1", 1000)
	w.enter(gone)
	w.push("parked", j)
	w.until("the silent process has lost the app", func() bool {
		w.due()
		return w.record(gone).State == string(job.Failed)
	})
	w.q.Times.Hold = queue.HoldTTL
	c := w.start(j)
	w.finish(c, job.Created)
	again := person(job.Deploy, "web", 6000)
	w.giveBack(w.enter(again), queue.GiveBack{Failed: true, Detail: "no"}, false)
	w.dead(again, "no")
}
