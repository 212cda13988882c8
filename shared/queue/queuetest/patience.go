package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func failedAttemptsAreLimited(w *world) {
	w.q.Times.Backoff = 0
	j, next := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", j)
	w.giveBack(w.start(j), queue.GiveBack{Failed: true, Detail: "first"}, true)
	w.giveBack(w.start(j), queue.GiveBack{Failed: true, Detail: "second"}, true)
	c := w.start(j)
	w.is("failed attempts", c.FailedAttempts, 2)
	w.giveBack(c, queue.GiveBack{Failed: true, Detail: "third"}, false)
	w.dead(j, "third")
	w.push("waiting", next)
	w.finish(w.start(next), job.Created)
}

func lostAttemptsAreLimited(w *world) {
	w.q.Times.Backoff = 0
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	for i := range 10 {
		w.giveBack(w.start(j), queue.GiveBack{Detail: "stopped"}, i < 9)
	}
	w.is("lost", w.record(j).Lost, 10)
	w.is("failed", w.record(j).FailedAttempts, 0)
	w.dead(j, "stopped")
}

func closedWindowCountsNothing(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	for range 12 {
		w.giveBack(w.start(j), queue.GiveBack{After: time.Millisecond}, true)
		w.release(j)
	}
	w.giveBack(w.start(j), queue.GiveBack{After: time.Hour, Detail: "waits for its window"}, true)
	r := w.record(j)
	w.is("lost and failed", r.Lost+r.FailedAttempts, 0)
	w.is("state", r.State, queue.Delayed)
	w.is("detail", r.Detail, "waits for its window")
}

func backoffGrowsFourfold(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.q.Times.Backoff = time.Millisecond
	w.giveBack(w.start(j), queue.GiveBack{Failed: true}, true)
	w.state(j, queue.Delayed)
	w.release(j)
	w.q.Times.Backoff = 10 * time.Minute
	w.giveBack(w.start(j), queue.GiveBack{Failed: true}, true)
	w.is("second backoff", time.Until(w.record(j).Due).Round(time.Minute), 40*time.Minute)
	w.idle()
	w.is("released too early", w.due().Released, 0)
}

func backoffIsADayAtMost(w *world) {
	w.q.Times.Backoff = 40 * time.Hour
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	c := w.start(j)
	w.is("wait", c.Wait(), 24*time.Hour)
	w.giveBack(c, queue.GiveBack{Failed: true}, true)
	w.is("backoff", time.Until(w.record(j).Due).Round(time.Minute), 24*time.Hour)
}

func appsOwnRetryCounts(w *world) {
	c := tree("")
	list := entries("web", "api")
	list[0].Retry = catalog.Retry{Limit: 5, BackoffMS: time.Minute.Milliseconds()}
	list[1].Retry = catalog.Retry{Limit: 1}
	gen, _ := w.write(c, list)
	w.turn(c, gen, 1000, true)
	web, api := source("web", "", "c1", 1000), source("api", "", "c1", 1000)
	w.push("waiting waiting", web, api)
	held, once := w.start(web), w.start(api)
	w.giveBack(once, queue.GiveBack{Failed: true, Detail: "once"}, false)
	w.dead(api, "once")
	for n, wait := range []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute} {
		w.is("wait", held.Wait(), wait)
		again, err := w.q.Retry(w.ctx, held, "flaky")
		w.must(err)
		w.is("again", again, true)
		w.is("failed attempts", w.record(web).FailedAttempts, n+1)
	}
	w.giveBack(held, queue.GiveBack{Failed: true}, true)
	w.is("fourth wait", time.Until(w.record(web).Due).Round(time.Minute), 64*time.Minute)
	held.Backoff, held.FailedAttempts = time.Hour, 60
	w.is("longest wait", held.Wait(), 24*time.Hour)
}
