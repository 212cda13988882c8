package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func takeLaws() []Law {
	return []Law{
		{"NoMoreThanMaxAreActive", noMoreThanMaxAreActive},
		{"ManyAreTakenAtOnce", manyAreTakenAtOnce},
		{"LowIsReadSecond", lowIsReadSecond},
		{"TakeCountsAttemptsAndSetsDeadlines", takeCountsAttemptsAndSetsDeadlines},
		{"UnlaunchSpendsNoAttempt", unlaunchSpendsNoAttempt},
		{"UnlaunchedJobWaitsAMoment", unlaunchedJobWaitsAMoment},
		{"UnlaunchOfAClaimedJobChangesNothing", unlaunchOfAClaimedJobChangesNothing},
	}
}

func noMoreThanMaxAreActive(w *world) {
	a, b := source("web", "", "c1", 1000), source("api", "", "c1", 1000)
	w.push("waiting waiting", a, b)
	for i, want := range []bool{true, false} {
		_, ok, err := w.q.Take(w.ctx, 1)
		w.must(err)
		w.is([]string{"first take", "take at the limit"}[i], ok, want)
	}
	w.state(b, queue.Waiting)
}

func manyAreTakenAtOnce(w *world) {
	jobs := []job.Job{source("a", "", "c1", 1), source("b", "", "c1", 1), source("c", "", "c1", 1), source("d", "", "c1", 1)}
	w.push("waiting waiting waiting waiting", jobs...)
	for _, c := range []struct{ most, n, want int }{{10, 2, 2}, {3, 5, 1}, {3, 5, 0}, {10, 5, 1}, {10, 5, 0}} {
		list, err := w.q.TakeMany(w.ctx, c.most, c.n)
		w.must(err)
		w.audit()
		w.is("taken", len(list), c.want)
		for _, l := range list {
			w.is("taken job", l.Job.ID, jobs[0].ID)
			w.is("attempt", l.Attempt, 1)
			jobs = jobs[1:]
		}
	}
}

func lowIsReadSecond(w *world) {
	low, high := source("web", "", "c1", 1000), source("api", "", "c1", 1000)
	low.Low = true
	w.push("waiting", low)
	w.push("waiting", high)
	w.take(high)
	w.take(low)
}

func takeCountsAttemptsAndSetsDeadlines(w *world) {
	w.q.Times.Start, w.q.Times.Run = 5*time.Minute, 20*time.Minute
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	l := w.take(j)
	w.is("attempt", l.Attempt, 1)
	w.is("start deadline", time.Until(l.Deadline).Round(time.Minute), 5*time.Minute)
	w.is("run deadline", time.Until(l.RunDeadline).Round(time.Minute), 20*time.Minute)
	w.state(j, queue.Launching)
	r, err := w.q.Lapse(w.ctx, j.ID, 1, "gone")
	w.must(err)
	w.is("lapsed", r, true)
	w.is("attempt", w.take(j).Attempt, 2)
}

func unlaunchSpendsNoAttempt(w *world) {
	w.q.Times.Unlaunch = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	for range 20 {
		l := w.take(j)
		w.is("attempt", l.Attempt, 1)
		w.must(w.q.Unlaunch(w.ctx, l))
		w.must(w.q.Unlaunch(w.ctx, l))
		w.audit()
	}
	w.is("lost attempts", w.record(j).Lost, 0)
}

func unlaunchedJobWaitsAMoment(w *world) {
	w.q.Times.Unlaunch = time.Hour
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.must(w.q.Unlaunch(w.ctx, w.take(j)))
	w.state(j, queue.Delayed)
	w.idle()
}

func unlaunchOfAClaimedJobChangesNothing(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	l := w.take(j)
	w.claim(l)
	w.must(w.q.Unlaunch(w.ctx, l))
	w.state(j, queue.Claimed)
	w.audit()
}

func claimLaws() []Law {
	return []Law{
		{"ClaimIsForItsAttemptOnly", claimIsForItsAttemptOnly},
		{"ClaimAgainGivesTheSameFence", claimAgainGivesTheSameFence},
		{"FencesGrow", fencesGrow},
		{"MachineThatComesLateIsRefused", machineThatComesLateIsRefused},
		{"HoldStandsUntilItLapses", holdStandsUntilItLapses},
		{"HoldNeverOutlastsTheDeadline", holdNeverOutlastsTheDeadline},
		{"OverrunningAttemptLosesItsHold", overrunningAttemptLosesItsHold},
		{"SilentHolderLosesJob", silentHolderLosesJob},
	}
}

func claimIsForItsAttemptOnly(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.refused(queue.Launch{Job: j, Attempt: 0}, "early")
	w.refused(queue.Launch{Job: j, Attempt: 1}, "early")
	l := w.take(j)
	w.refused(queue.Launch{Job: j, Attempt: 2}, "other")
	w.claim(l)
	w.refused(l, "second")
	w.refused(queue.Launch{Job: source("web", "", "zz", 9), Attempt: 1}, "unknown")
}

func claimAgainGivesTheSameFence(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	l := w.take(j)
	w.is("fence", w.claim(l).Fence, w.claim(l).Fence)
}

func fencesGrow(w *world) {
	var last int64
	for i := range 20 {
		j := source("web", "", "c1", int64(1000+i))
		w.push("waiting", j)
		c := w.start(j)
		if c.Fence <= last {
			w.fail("fence %d follows %d", c.Fence, last)
		}
		last = c.Fence
		w.finish(c, job.Unchanged)
	}
}

func machineThatComesLateIsRefused(w *world) {
	w.q.Times.Start, w.q.Times.Backoff = 0, 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	late := w.take(j)
	w.is("lapsed", w.due().Lapsed, 1)
	w.refused(late, "late")
	next := w.take(j)
	w.refused(late, "late")
	c := w.claim(next)
	w.refused(late, "late")
	w.is("attempt", c.Attempt, 2)
	w.is("lost", c.Lost, 1)
}

func holdStandsUntilItLapses(w *world) {
	w.q.Times.Backoff = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	h, err := w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("stands", h.Stands, true)
	w.is("trust left", time.Until(h.TrustedUntil).Round(time.Second), w.q.Times.Hold-w.q.Times.Margin)
	w.is("lapsed", w.due().Lapsed, 0)
	w.q.Times.Hold = time.Millisecond
	_, err = w.q.Hold(w.ctx, c)
	w.must(err)
	w.until("the hold lapses", func() bool { return w.due().Lapsed == 1 })
	h, err = w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("stands after it lapsed", h.Stands, false)
}

func holdNeverOutlastsTheDeadline(w *world) {
	w.q.Times.Run, w.q.Times.Hold, w.q.Times.Margin = time.Minute, time.Hour, 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	if time.Until(c.TrustedUntil) > time.Minute {
		w.fail("a claim is trusted for %s", time.Until(c.TrustedUntil))
	}
	h, err := w.q.Hold(w.ctx, c)
	w.must(err)
	if time.Until(h.TrustedUntil) > time.Minute || !h.Stands {
		w.fail("a hold is trusted for %s", time.Until(h.TrustedUntil))
	}
}

func overrunningAttemptLosesItsHold(w *world) {
	w.q.Times.Run = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	h, err := w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("stands", h.Stands, false)
	w.is("lapsed", w.due().Lapsed, 1)
}

func silentHolderLosesJob(w *world) {
	w.q.Times.Hold, w.q.Times.Backoff = 0, 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	w.is("lapsed", w.due().Lapsed, 1)
	w.lost(w.q.Finish(w.ctx, c, job.Result{Outcome: job.Created}))
	w.q.Times.Hold = time.Minute
	next := w.start(j)
	w.lost(w.q.Finish(w.ctx, c, job.Result{Outcome: job.Created}))
	_, err := w.q.GiveBack(w.ctx, c, queue.GiveBack{Failed: true})
	w.lost(err)
	h, err := w.q.Hold(w.ctx, c)
	w.must(err)
	w.is("the silent one stands", h.Stands, false)
	w.finish(next, job.Created)
}
