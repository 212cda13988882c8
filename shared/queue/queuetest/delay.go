package queuetest

import (
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func delayLaws() []Law {
	return []Law{
		{"DelayedPushWaitsForItsTime", delayedPushWaitsForItsTime},
		{"DelayOutlastsABusyApp", delayOutlastsABusyApp},
		{"NewerDeployEndsADelayedDestroy", newerDeployEndsADelayedDestroy},
		{"DelayIsOverOnce", delayIsOverOnce},
	}
}

// graced delays a job.
func graced(d time.Duration, j job.Job) job.Job {
	j.DelayMS = d.Milliseconds()
	return j
}

func delayedPushWaitsForItsTime(w *world) {
	j := graced(300*time.Millisecond, destroy("web", "", "k1", 1000))
	w.push("delayed", j)
	w.push("delayed", j)
	w.idle()
	w.is("next due is within the delay", time.Until(w.due().NextDue) <= 300*time.Millisecond, true)
	w.release(j)
	w.finish(w.start(j), job.Updated)
}

func delayOutlastsABusyApp(w *world) {
	a, j := source("web", "", "c1", 1000), graced(time.Hour, destroy("web", "", "k1", 2000))
	w.push("waiting", a)
	c := w.start(a)
	w.push("parked", j)
	w.finish(c, job.Created)
	w.state(j, queue.Delayed)
	w.is("due in", time.Until(w.record(j).Due).Round(time.Minute), time.Hour)
	w.idle()
}

func newerDeployEndsADelayedDestroy(w *world) {
	j, b := graced(time.Hour, destroy("web", "", "k1", 1000)), config("web", "k1", "k2", 2000)
	w.push("delayed", j)
	w.push("waiting", b)
	w.state(j, "superseded")
	w.take(b)
}

// Broken when: a job that waited once has to wait as long again for each attempt.
func delayIsOverOnce(w *world) {
	j := graced(20*time.Millisecond, destroy("web", "", "k1", 1000))
	w.push("delayed", j)
	w.release(j)
	w.giveBack(w.start(j), queue.GiveBack{After: time.Millisecond}, true)
	w.release(j)
	w.take(j)
}
