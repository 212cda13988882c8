package queuetest

import (
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func goneLaws() []Law {
	return []Law{
		{"DroppedAppHasATombstone", droppedAppHasATombstone},
		{"TombstoneKnowsItsDestroy", tombstoneKnowsItsDestroy},
		{"DestroyThatFailedLeavesTheApp", destroyThatFailedLeavesTheApp},
		{"NamedAppHasNoTombstone", namedAppHasNoTombstone},
		{"MarkWithoutASwitchCountsForNothing", markWithoutASwitchCountsForNothing},
		{"MarkIsKeptWhenItIsMadeAgain", markIsKeptWhenItIsMadeAgain},
		{"AppThatGoesAgainHasANewTombstone", appThatGoesAgainHasANewTombstone},
		{"AppOfAnotherTreeIsNotMarked", appOfAnotherTreeIsNotMarked},
		{"TombstoneIsOfTheLastTree", tombstoneIsOfTheLastTree},
		{"DestroyByOthersIsNoted", destroyByOthersIsNoted},
	}
}

// mark marks apps of a tree as about to go.
func (w *world) mark(folder, commit string, apps ...string) {
	var list []queue.Gone
	for _, e := range entries(apps...) {
		list = append(list, queue.Gone{Entry: e, Commit: commit, Renamed: "new-" + e.App})
	}
	w.must(w.q.MarkGone(w.ctx, tree(folder), list))
}

// tombstones checks which apps of a tree have one, and gives them.
func (w *world) tombstones(folder, want string) []queue.Tombstone {
	list, err := w.q.Tombstones(w.ctx, tree(folder).ID())
	w.must(err)
	var apps []string
	for _, t := range list {
		apps = append(apps, t.App)
	}
	w.is("tombstones of "+folder, strings.Join(apps, " "), want)
	w.is("sorted", slices.IsSorted(apps), true)
	return list
}

// drop lets the tree a stop naming the app web.
func (w *world) drop() {
	w.sync(tree("a"), 1000, "web", "api")
	w.mark("a", "k2", "web")
	w.sync(tree("a"), 2000, "api")
}

func droppedAppHasATombstone(w *world) {
	w.sync(tree("a"), 1000, "web", "api", "old")
	w.mark("a", "k2", "web", "old")
	w.tombstones("a", "")
	_, found, err := w.q.Tombstone(w.ctx, "web")
	w.must(err)
	w.is("found before the switch", found, false)
	w.sync(tree("a"), 2000, "api")
	t := w.tombstones("a", "old web")[1]
	w.is("tree", t.Tree, tree("a").ID())
	w.is("entry", t.Entry.Digest, "digest-web")
	w.is("commit", t.Commit, "k2")
	w.is("new name", t.Renamed, "new-web")
	w.is("since", time.Since(t.Since).Round(time.Hour), time.Duration(0))
	w.until("it is older", func() bool { return w.tombstones("a", "old web")[1].Age > t.Age })
	w.is("a job", t.Underway() || t.Job != "", false)
	w.tombstones("b", "")
	one, found, err := w.q.Tombstone(w.ctx, "web")
	w.must(err)
	w.is("found", found, true)
	w.is("the one that is found", one.Since, t.Since)
}

func tombstoneKnowsItsDestroy(w *world) {
	w.drop()
	first, j := destroy("web", "k1", "k2", 2000), graced(time.Hour, destroy("web", "k2", "k3", 3000))
	w.push("waiting", first)
	w.is("job", w.tombstones("a", "web")[0].Job, first.ID)
	w.push("delayed", j)
	t := w.tombstones("a", "web")[0]
	w.is("job", t.Job, j.ID)
	w.is("it is underway", t.Underway(), true)
	hand := person(job.Destroy, "web", 4000)
	w.push("waiting", hand)
	c := w.start(hand)
	w.push("superseded", destroy("web", "k1", "k2", 1000))
	w.finish(c, job.Updated)
	t = w.tombstones("a", "web")[0]
	w.is("job", t.Job, hand.ID)
	w.is("outcome", t.Outcome, job.Updated)
	w.is("it is gone", t.Gone.IsZero() || t.Underway(), false)
}

func destroyThatFailedLeavesTheApp(w *world) {
	w.drop()
	j, next := destroy("web", "k1", "k2", 2000), destroy("web", "k2", "k3", 3000)
	w.push("waiting", j)
	w.finish(w.start(j), job.Rejected)
	t := w.tombstones("a", "web")[0]
	w.is("outcome", t.Outcome, job.Rejected)
	w.is("why", t.Detail, "because")
	w.is("it is gone", !t.Gone.IsZero() || t.Underway(), false)
	w.push("waiting", next)
	t = w.tombstones("a", "web")[0]
	w.is("it is underway", t.Underway(), true)
	w.is("why", t.Detail, "")
	c, last := w.start(next), destroy("web", "k3", "k4", 4000)
	w.push("parked", last)
	w.finish(c, job.Rejected)
	t = w.tombstones("a", "web")[0]
	w.is("job", t.Job, last.ID)
	w.is("it is underway", t.Underway(), true)
	w.finish(w.start(last), job.Unchanged)
	w.is("it is gone", w.tombstones("a", "web")[0].Gone.IsZero(), false)
}

func namedAppHasNoTombstone(w *world) {
	w.drop()
	j := destroy("web", "k1", "k2", 2000)
	w.push("waiting", j)
	w.finish(w.start(j), job.Rejected)
	w.sync(tree("a"), 3000, "web", "api")
	w.tombstones("a", "")
	w.sync(tree("a"), 4000, "api")
	w.tombstones("a", "")
	w.mark("a", "k4", "web")
	w.is("an old job", w.tombstones("a", "web")[0].Job, job.ID(""))
	w.sync(tree("a"), 4500, "web", "api")
	w.tombstones("a", "")
	w.mark("a", "k5", "api")
	w.sync(tree("a"), 5000)
	w.tombstones("a", "api")
	w.sync(tree("b"), 6000, "api")
	w.tombstones("a", "")
	w.tombstones("b", "")
}

func markWithoutASwitchCountsForNothing(w *world) {
	w.sync(tree("a"), 1000, "web", "api")
	w.mark("a", "k2", "web")
	w.sync(tree("a"), 3000, "web")
	w.tombstones("a", "")
	w.sync(tree("a"), 4000)
	w.tombstones("a", "")
}

func markIsKeptWhenItIsMadeAgain(w *world) {
	w.drop()
	j := destroy("web", "k1", "k2", 2000)
	w.push("waiting", j)
	since := w.tombstones("a", "web")[0].Since
	w.mark("a", "k3", "web")
	t := w.tombstones("a", "web")[0]
	w.is("since", t.Since, since)
	w.is("job", t.Job, j.ID)
	w.is("commit", t.Commit, "k3")
}

func appThatGoesAgainHasANewTombstone(w *world) {
	w.drop()
	j := destroy("web", "k1", "k2", 2000)
	w.push("waiting", j)
	w.finish(w.start(j), job.Updated)
	w.sync(tree("a"), 3000, "web", "api")
	w.mark("a", "k4", "web")
	w.sync(tree("a"), 4000, "api")
	t := w.tombstones("a", "web")[0]
	w.is("job", t.Job, job.ID(""))
	w.is("it is gone", !t.Gone.IsZero() || t.Outcome != "", false)
}

func appOfAnotherTreeIsNotMarked(w *world) {
	w.drop()
	w.sync(tree("b"), 3000, "web")
	w.mark("a", "k3", "web")
	w.tombstones("a", "")
	w.tombstones("b", "")
	w.mark("b", "k4", "web")
	w.mark("a", "k3", "web")
	w.sync(tree("b"), 4000)
	w.tombstones("a", "")
	w.is("tree", w.tombstones("b", "web")[0].Tree, tree("b").ID())
}

// Broken when: a tree that nobody looked at meanwhile still counts an app that another tree had since as its own.
func tombstoneIsOfTheLastTree(w *world) {
	w.drop()
	w.sync(tree("b"), 3000, "web")
	w.mark("b", "k4", "web")
	w.sync(tree("b"), 4000)
	w.tombstones("a", "")
	w.tombstones("b", "web")
}

func destroyByOthersIsNoted(w *world) {
	w.must(w.q.MarkDestroyed(w.ctx, "web"))
	w.drop()
	w.must(w.q.MarkDestroyed(w.ctx, "web"))
	t := w.tombstones("a", "web")[0]
	w.is("it is gone", t.Gone.IsZero(), false)
	w.mark("a", "k3", "api")
	w.sync(tree("a"), 3000)
	j := person(job.Destroy, "api", 5000)
	c := w.enter(j)
	w.is("job", w.tombstones("a", "api web")[0].Job, j.ID)
	w.finish(c, job.Updated)
	w.is("it is gone", w.tombstones("a", "api web")[0].Gone.IsZero(), false)
}
