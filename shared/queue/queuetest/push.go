package queuetest

import (
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func pushLaws() []Law {
	return []Law{
		{"PushedJobIsTaken", pushedJobIsTaken},
		{"KnownJobStaysAsItIs", knownJobStaysAsItIs},
		{"ReplayAnswersTheSame", replayAnswersTheSame},
		{"IgnoredDeliveryIsRemembered", ignoredDeliveryIsRemembered},
		{"NamelessDeliveryIsNotRemembered", namelessDeliveryIsNotRemembered},
		{"BigPushIsInWhole", bigPush},
		{"BadJobIsRejectedBeforeAnythingIsPushed", badJobIsRejectedBeforeAnythingIsPushed},
		{"NewJobParksWhileAnotherIsActive", newJobParksWhileAnotherIsActive},
		{"PlanStandsInNobodysWay", planStandsInNobodysWay},
		{"ForceOutlivesItsJob", forceOutlivesItsJob},
		{"SubjectsOfDifferentKindsNeverMeet", subjectsOfDifferentKindsNeverMeet},
	}
}

func pushedJobIsTaken(w *world) {
	a, b := source("web", "", "c1", 1000), source("api", "", "c1", 1000)
	w.push("waiting waiting", a, b)
	w.take(a)
	w.take(b)
	w.idle()
}

func knownJobStaysAsItIs(w *world) {
	j := source("web", "", "c1", 1000)
	w.push("waiting", j)
	w.push("waiting", j)
	c := w.start(j)
	w.push("claimed", j)
	w.finish(c, job.Created)
	w.push("created", j)
	w.idle()
}

func ignoredDeliveryIsRemembered(w *world) {
	d := queue.Delivery{GUID: "ignored", Ignored: `a "quoted" reason`}
	for _, again := range []bool{false, true} {
		a, replay, err := w.q.Push(w.ctx, d)
		w.must(err)
		w.is("replay", replay, again)
		w.is("reason", a.Ignored, d.Ignored)
		w.is("jobs", a.Jobs != nil && len(a.Jobs) == 0, true)
	}
}

func namelessDeliveryIsNotRemembered(w *world) {
	j := source("web", "", "c1", 1000)
	for range 2 {
		_, replay, err := w.q.Push(w.ctx, queue.Delivery{Jobs: []job.Job{j}})
		w.must(err)
		w.is("replay", replay, false)
	}
	_, ok, err := w.q.Answer(w.ctx, "")
	w.must(err)
	w.is("an answer", ok, false)
}

func badJobIsRejectedBeforeAnythingIsPushed(w *world) {
	good, bad := source("web", "", "c1", 1000), job.Job{ID: "short", Kind: job.Deploy, App: "web"}
	if _, _, err := w.q.Push(w.ctx, queue.Delivery{Jobs: []job.Job{good, bad}}); err == nil {
		w.fail("a job without an id was pushed")
	}
	w.idle()
}

func newJobParksWhileAnotherIsActive(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.push("parked", b)
	w.idle()
	w.finish(c, job.Created)
	w.state(b, queue.Waiting)
	w.finish(w.start(b), job.Updated)
	w.idle()
}

func planStandsInNobodysWay(w *world) {
	a, p := source("web", "", "c1", 1000), person(job.Plan, "web", 2000)
	w.push("waiting", a)
	c := w.start(a)
	w.push("waiting", p)
	pc := w.start(p)
	w.is("the plan sees the wish", pc.Wish.Source.Commit, "c1")
	w.finish(pc, job.Unchanged)
	w.state(a, queue.Claimed)
	w.is("digest after the plan", w.web().Digest, "")
	w.finish(c, job.Created)
}

func forceOutlivesItsJob(w *world) {
	forced, b := person(job.Deploy, "web", 1000), source("web", "", "c1", 2000)
	forced.Force = true
	w.push("waiting", forced)
	w.push("waiting", b)
	w.state(forced, "superseded")
	c := w.start(b)
	w.is("force", c.Wish.Force, true)
	w.finish(c, job.Updated)
	n := source("web", "c1", "c2", 3000)
	w.push("waiting", n)
	w.is("force after it was done", w.start(n).Wish.Force, false)
}

func subjectsOfDifferentKindsNeverMeet(w *world) {
	tree := job.Config{Repo: configRepo, Ref: "main"}
	s, a := sync(tree, "", "c1", 1000), source("web", "", "c1", 1000)
	f := pushed(job.Job{Kind: job.Sync}, job.Half{Side: job.SourceSide, Repo: sourceRepo}, order("", "c1", 1000))
	w.push("waiting waiting waiting", s, a, f)
	w.start(s)
	w.start(a)
	w.start(f)
}

func replayAnswersTheSame(w *world) {
	d := queue.Delivery{GUID: "again", Jobs: []job.Job{source(`we"b`, "", "c1", 1000), sync(job.Config{Repo: configRepo}, "", "c1", 1000)}}
	first, replay, err := w.q.Push(w.ctx, d)
	w.must(err)
	w.is("replay", replay, false)
	w.take(d.Jobs[0])
	again, replay, err := w.q.Push(w.ctx, d)
	w.must(err)
	w.is("replay", replay, true)
	w.is("answer of the replay", fmt.Sprint(again), fmt.Sprint(first))
	kept, ok, err := w.q.Answer(w.ctx, "again")
	w.must(err)
	w.is("an answer", ok, true)
	w.is("answer kept", fmt.Sprint(kept), fmt.Sprint(first))
	w.is("app", first.Jobs[0].App, `we"b`)
	w.is("config tree", first.Jobs[1].Config, "github.com/acme/config")
}

// bigPush needs several chunks: all of them are in, and the answer names them all in order.
func bigPush(w *world) {
	var d queue.Delivery
	d.GUID = "big"
	for i := range 600 {
		d.Jobs = append(d.Jobs, source(fmt.Sprintf("app-%d", i), "", "c1", 1000))
	}
	first, _, err := w.q.Push(w.ctx, d)
	w.must(err)
	w.is("jobs of the answer", len(first.Jobs), len(d.Jobs))
	for i, p := range first.Jobs {
		w.is("answered id", p.ID, d.Jobs[i].ID)
	}
	again, replay, err := w.q.Push(w.ctx, d)
	w.must(err)
	w.is("replay", replay, true)
	w.is("jobs of the replay", len(again.Jobs), len(d.Jobs))
	stats, err := w.q.Stats(w.ctx)
	w.must(err)
	w.is("waiting", stats.Waiting, int64(len(d.Jobs)))
	w.audit()
}
