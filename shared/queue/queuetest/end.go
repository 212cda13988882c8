package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func endLaws() []Law {
	return []Law{
		{"FinishIsSafeToRepeat", finishIsSafeToRepeat},
		{"FinishRecordsWhatIsDeployed", finishRecordsWhatIsDeployed},
		{"FinishClearsByValue", finishClearsByValue},
		{"RejectedWishStays", rejectedWishStays},
		{"DestroyedAppIsForgotten", destroyedAppIsForgotten},
		{"FailedAttemptsAreLimited", failedAttemptsAreLimited},
		{"LostAttemptsAreLimited", lostAttemptsAreLimited},
		{"ClosedWindowCountsNothing", closedWindowCountsNothing},
		{"BackoffGrowsFourfold", backoffGrowsFourfold},
		{"BackoffIsADayAtMost", backoffIsADayAtMost},
		{"AppsOwnRetryCounts", appsOwnRetryCounts},
		{"GiveBackIsSafeToRepeat", giveBackIsSafeToRepeat},
		{"GivenBackJobYieldsToTheParkedWish", givenBackJobYieldsToTheParkedWish},
		{"GivenBackJobOutlivesAnOlderParkedWish", givenBackJobOutlivesAnOlderParkedWish},
		{"RetryCountsAndKeepsTheClaim", retryLaw},
		{"CancelledJobEnds", cancelLaw},
		{"CancelledAttemptEndsItsJob", cancelledAttemptEndsItsJob},
		{"FailedFinishIsVisibleInDead", failedFinishIsVisibleInDead},
	}
}

func finishIsSafeToRepeat(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.finish(c, job.Created)
	w.push("waiting", b)
	n := w.start(b)
	w.finish(c, job.Created)
	w.is("active", w.web().Active, n.Job.ID)
	w.lost(w.q.Finish(w.ctx, c, job.Result{Outcome: job.Rejected}))
	w.state(a, "created")
}

func finishRecordsWhatIsDeployed(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.finish(w.start(j), job.Created)
	a, r := w.web(), w.record(j)
	w.is("source commit", a.SourceCommit, "c1")
	w.is("digest", a.Digest, r.Result.Digest)
	w.is("last", a.Last, j.ID)
	w.is("last outcome", a.LastOutcome, job.Created)
	w.is("active", a.Active, job.ID(""))
	w.is("judged", a.Judged.SourceCommit, "c1")
	w.is("release", a.Release, 1)
	w.is("ended", r.Ended.IsZero(), false)
	w.is("detail", r.Result.Detail, "because")
}

func finishClearsByValue(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.push("parked", b)
	hand := person(job.Deploy, "web", 2500)
	w.push("parked", hand)
	w.finish(c, job.Created)
	c = w.start(hand)
	w.is("commit", c.Wish.Source.Commit, "c2")
	w.finish(c, job.Updated)
	n := config("web", "", "k1", 3000)
	w.push("waiting", n)
	w.is("source half after it was deployed", w.start(n).Wish.Source == nil, true)
}

func rejectedWishStays(w *world) {
	a, n := source("web", "", "c1", 1000), config("web", "", "k1", 2000)
	w.push("waiting", a)
	w.finish(w.start(a), job.Rejected)
	st := w.web()
	w.is("judged", st.Judged.SourceCommit, "c1")
	w.is("deployed", st.SourceCommit, "")
	w.push("waiting", n)
	w.is("source commit", w.start(n).Wish.Source.Commit, "c1")
}

func destroyedAppIsForgotten(w *world) {
	a, gone, again := config("web", "", "k1", 1000), destroy("web", "k1", "k2", 2000), config("web", "k2", "k3", 3000)
	w.push("waiting", a)
	w.finish(w.start(a), job.Created)
	w.push("waiting", gone)
	w.finish(w.start(gone), job.Updated)
	st := w.web()
	w.is("digest", st.Digest, "")
	w.is("config commit", st.ConfigCommit, "")
	w.is("result", st.Result.Outcome, job.Outcome(""))
	w.push("waiting", again)
	c := w.start(again)
	w.is("digest at the claim", c.App.Digest, "")
	w.finish(c, job.Created)
	w.is("config commit", w.web().ConfigCommit, "k3")
}

func giveBackIsSafeToRepeat(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	for range 5 {
		w.giveBack(c, queue.GiveBack{Failed: true}, true)
	}
	w.is("failed attempts", w.record(j).FailedAttempts, 1)
}

func givenBackJobYieldsToTheParkedWish(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.push("parked", b)
	w.giveBack(c, queue.GiveBack{Failed: true}, false)
	w.state(a, "superseded")
	w.is("commit", w.start(b).Wish.Source.Commit, "c2")
}

func givenBackJobOutlivesAnOlderParkedWish(w *world) {
	w.q.Times.Backoff = 0
	a, b := config("web", "", "k1", 2000), source("web", "", "c1", 1000)
	w.push("waiting", a)
	c := w.start(a)
	w.push("parked", b)
	w.giveBack(c, queue.GiveBack{}, true)
	w.state(b, "superseded")
	c = w.start(a)
	w.is("source commit", c.Wish.Source.Commit, "c1")
	w.finish(c, job.Created)
	w.idle()
}

func failedFinishIsVisibleInDead(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.finish(w.start(j), job.Failed)
	w.dead(j, "because")
}

func retryLaw(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	for _, want := range []bool{true, true, false} {
		again, err := w.q.Retry(w.ctx, c, "flaky")
		w.must(err)
		w.is("again", again, want)
		w.audit()
	}
	w.is("failed attempts", w.record(j).FailedAttempts, 2)
	w.giveBack(c, queue.GiveBack{Failed: true, Detail: "flaky"}, false)
	w.dead(j, "flaky")

	a, b := source("api", "", "c1", 1000), source("api", "c1", "c2", 2000)
	w.push("waiting", a)
	c = w.start(a)
	w.push("parked", b)
	again, err := w.q.Retry(w.ctx, c, "flaky")
	w.must(err)
	w.is("again although a newer wish is parked", again, false)
}

func cancelLaw(w *world) {
	cancel := func(j job.Job, want string) {
		state, err := w.q.Cancel(w.ctx, j.ID)
		w.must(err)
		w.is("state of the cancelled", state, want)
		w.audit()
	}
	waiting := source("waiting", "", "c1", 1000)
	w.push("waiting", waiting)
	cancel(waiting, "cancelled")
	w.idle()
	cancel(waiting, "cancelled")
	after := config("waiting", "", "k1", 2000)
	w.push("waiting", after)
	w.is("cancelled half", w.start(after).Wish.Source == nil, true)

	claimed, parked := source("claimed", "", "c1", 1000), source("claimed", "c1", "c2", 2000)
	w.push("waiting", claimed)
	c := w.start(claimed)
	w.push("parked", parked)
	cancel(parked, "cancelled")
	cancel(claimed, queue.Claimed)
	h, err := w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("cancelled", h.Cancelled && h.Stands, true)
	w.giveBack(c, queue.GiveBack{Failed: true}, false)
	w.state(claimed, "cancelled")

	delayed := source("delayed", "", "c1", 1000)
	w.push("waiting", delayed)
	w.giveBack(w.start(delayed), queue.GiveBack{After: time.Hour}, true)
	cancel(delayed, "cancelled")
	if _, err := w.q.Cancel(w.ctx, "nobody"); err == nil {
		w.fail("an unknown job was cancelled")
	}
}

// cancelledAttemptEndsItsJob holds that whatever ends the attempt of a cancelled job ends the job, and takes
// its wish back.
func cancelledAttemptEndsItsJob(w *world) {
	for app, end := range map[string]func(l queue.Launch){
		"refused":  func(l queue.Launch) { w.refused(l, "m") },
		"unmade":   func(l queue.Launch) { w.must(w.q.Unlaunch(w.ctx, l)) },
		"gone":     func(l queue.Launch) { w.lapse(l) },
		"vanished": func(l queue.Launch) { w.lapse(l) },
	} {
		j := source(app, "", "c1", 1000)
		w.push("waiting", j)
		l := w.take(j)
		if app == "vanished" {
			w.claim(l)
		}
		_, err := w.q.Cancel(w.ctx, j.ID)
		w.must(err)
		end(l)
		w.audit()
		w.state(j, "cancelled")
		w.idle()
		after := config(app, "", "k1", 2000)
		w.push("waiting", after)
		w.is("cancelled half", w.start(after).Wish.Source == nil, true)
	}
}

func (w *world) lapse(l queue.Launch) {
	_, err := w.q.Lapse(w.ctx, l.Job.ID, l.Attempt, "its machine is gone")
	w.must(err)
}

// dead checks that the job failed and is visible.
func (w *world) dead(j job.Job, why string) {
	w.state(j, "failed")
	list, err := w.q.Dead(w.ctx, 1)
	w.must(err)
	if len(list) == 0 {
		w.fail("the dead stream is empty")
	}
	w.is("dead job", list[0].Job, j.ID)
	w.is("why", list[0].Why, why)
	w.idle()
}
