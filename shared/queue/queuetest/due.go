package queuetest

import (
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func dueLaws() []Law {
	return []Law{
		{"LaunchThatNeverBootsIsTriedAgain", launchThatNeverBootsIsTriedAgain},
		{"LapsedJobYieldsToTheParkedWish", lapsedJobYieldsToTheParkedWish},
		{"ParkedWishFollowsADeadJob", parkedWishFollowsADeadJob},
		{"DelayedJobIsReleasedWhenItIsDue", delayedJobIsReleasedWhenItIsDue},
		{"NextDueIsTheFirstDeadline", nextDueIsTheFirstDeadline},
		{"DuePassIsBounded", duePassIsBounded},
		{"LapseIsForItsAttemptOnly", lapseIsForItsAttemptOnly},
	}
}

func launchThatNeverBootsIsTriedAgain(w *world) {
	w.q.Times.Start, w.q.Times.Backoff = 0, 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	for i := range 10 {
		w.take(j)
		w.is("lapsed", w.due().Lapsed, 1)
		w.is("lost", w.record(j).Lost, i+1)
	}
	w.state(j, "failed")
	w.idle()
}

func lapsedJobYieldsToTheParkedWish(w *world) {
	w.q.Times.Hold = 0
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	w.start(a)
	w.push("parked", b)
	w.due()
	w.state(a, "superseded")
	w.take(b)
}

func parkedWishFollowsADeadJob(w *world) {
	w.q.Times.Lost, w.q.Times.Hold = 1, 0
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	w.start(a)
	w.push("parked", b)
	w.due()
	w.state(a, "failed")
	w.take(b)
}

func delayedJobIsReleasedWhenItIsDue(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.giveBack(w.start(j), queue.GiveBack{After: 400 * time.Millisecond}, true)
	w.idle()
	r := w.due()
	w.is("released too early", r.Released, 0)
	if d := time.Until(r.NextDue); d > 400*time.Millisecond {
		w.fail("next is due in %s", d)
	}
	w.release(j)
	w.take(j)
}

func nextDueIsTheFirstDeadline(w *world) {
	w.is("next due of an empty queue", w.due().NextDue.IsZero(), true)
	w.q.Times.Start = time.Hour
	a, b := source("web", "", "c1", 1000), source("api", "", "c1", 1000)
	w.push("waiting waiting", a, b)
	w.take(a)
	w.is("next due", time.Until(w.due().NextDue).Round(time.Minute), time.Hour)
	w.giveBack(w.start(b), queue.GiveBack{After: 10 * time.Minute}, true)
	w.is("next due", time.Until(w.due().NextDue).Round(time.Minute), 10*time.Minute)
}

func duePassIsBounded(w *world) {
	w.q.Times.Start, w.q.Times.Backoff = 0, 0
	var jobs []job.Job
	for i := range 150 {
		jobs = append(jobs, source(fmt.Sprintf("app-%d", i), "", "c1", 1000))
	}
	_, _, err := w.q.Push(w.ctx, queue.Delivery{Jobs: jobs})
	w.must(err)
	for range jobs {
		_, ok, err := w.q.Take(w.ctx, 1000)
		w.must(err)
		w.is("a job to take", ok, true)
	}
	r := w.due()
	w.is("lapsed", r.Lapsed, 100)
	w.is("more", r.More, true)
	r = w.due()
	w.is("lapsed", r.Lapsed, 50)
	w.is("more", r.More, false)
}

func lapseIsForItsAttemptOnly(w *world) {
	w.q.Times.Backoff = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.start(j)
	for attempt, want := range map[int]bool{0: false, 2: false} {
		ok, err := w.q.Lapse(w.ctx, j.ID, attempt, "gone")
		w.must(err)
		w.is("lapsed", ok, want)
	}
	w.state(j, queue.Claimed)
	ok, err := w.q.Lapse(w.ctx, j.ID, 1, "gone")
	w.must(err)
	w.is("lapsed", ok, true)
	w.is("detail", w.record(j).Detail, "gone")
	ok, err = w.q.Lapse(w.ctx, j.ID, 1, "gone")
	w.must(err)
	w.is("lapsed twice", ok, false)
	w.audit()
}

func sightLaws() []Law {
	return []Law{
		{"NothingIsConfirmedOnOneSighting", nothingIsConfirmedOnOneSighting},
		{"LogIsReadInOrder", logIsReadInOrder},
		{"JobsAreListed", jobsAreListed},
		{"HeldAppIsReleasedByADoneDeploy", heldAppIsReleasedByADoneDeploy},
	}
}

func nothingIsConfirmedOnOneSighting(w *world) {
	suspect := func(age time.Duration, want string, ids ...string) {
		got, err := w.q.Suspect(w.ctx, "machine", ids, age)
		w.must(err)
		w.is("confirmed", fmt.Sprint(got), want)
	}
	suspect(0, "[]", "a", "b")
	suspect(time.Hour, "[]", "a", "b")
	suspect(0, "[b]", "b", "c")
	suspect(0, "[b c]", "a", "b", "c")
	other, err := w.q.Suspect(w.ctx, "job", []string{"a"}, 0)
	w.must(err)
	w.is("confirmed of another kind", len(other), 0)
}

func logIsReadInOrder(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.must(w.q.Append(w.ctx, j.ID, []string{"one", "two", "", "four"}))
	w.must(w.q.Append(w.ctx, j.ID, nil))
	first, err := w.q.Tail(w.ctx, j.ID, "", 3)
	w.must(err)
	w.is("lines", len(first), 3)
	rest, err := w.q.Tail(w.ctx, j.ID, first[2].ID, 10)
	w.must(err)
	w.is("lines after", len(rest), 1)
	w.is("text", first[0].Text+first[1].Text+first[2].Text+rest[0].Text, "onetwofour")
	w.is("time is set", first[0].Time.IsZero(), false)
}

func jobsAreListed(w *world) {
	a, b, c := source("web", "", "c1", 1000), source("api", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting waiting", a, b)
	w.finish(w.start(a), job.Created)
	w.push("waiting", c)
	count := func(f queue.Filter, want int) {
		list, err := w.q.Jobs(w.ctx, f)
		w.must(err)
		w.is(fmt.Sprintf("jobs of %+v", f), len(list), want)
	}
	count(queue.Filter{}, 3)
	count(queue.Filter{App: "web"}, 2)
	count(queue.Filter{State: queue.Waiting}, 2)
	count(queue.Filter{App: "web", State: "created"}, 1)
	count(queue.Filter{Limit: 1}, 1)
	apps, err := w.q.Apps(w.ctx)
	w.must(err)
	w.is("apps", fmt.Sprint(apps), "[api web]")
	w.start(b)
	active, err := w.q.Active(w.ctx)
	w.must(err)
	w.is("active jobs", len(active), 1)
	w.is("machine", active[0].Machine != "", true)
	stats, err := w.q.Stats(w.ctx)
	w.must(err)
	w.is("waiting and active", fmt.Sprint(stats.Waiting, stats.Active), "1 1")
	if _, err := w.q.Job(w.ctx, "nobody"); err == nil {
		w.fail("an unknown job was found")
	}
}

func heldAppIsReleasedByADoneDeploy(w *world) {
	j := source("web", "", "c1", 1000)
	w.must(w.q.HoldApp(w.ctx, "web", "rolled back"))
	w.is("reason", w.web().HoldReason, "rolled back")
	w.push("waiting", j)
	w.finish(w.start(j), job.Created)
	w.is("hold", w.web().Hold, false)
}
