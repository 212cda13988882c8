package queuetest

import (
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func pullLaws() []Law {
	return []Law{
		{"PullRequestIsPlanned", pullRequestIsPlanned},
		{"PlanOfAPullRequestStandsInNobodysWay", planOfAPullRequestStandsInNobodysWay},
		{"TreesAreListed", treesAreListed},
	}
}

// pull is the plan of a tree for a pull request at its head.
func pull(c job.Config, number int, head string, at int64) job.Job {
	return job.Job{
		ID: job.SaltedID(job.Plan, c.ID(), fmt.Sprint(number, head)), Kind: job.Plan, Config: c, Pull: number, Reason: job.ByPull,
		Half:  job.Half{Side: job.ConfigSide, Repo: c.Repo, Ref: fmt.Sprintf("refs/pull/%d/head", number), Commit: head},
		Order: job.Order{Time: at},
	}
}

func pullRequestIsPlanned(w *world) {
	c := tree("prod")
	w.sync(c, 1000, "web")
	a, b, other := pull(c, 7, "h1", 2000), pull(c, 7, "h2", 3000), pull(c, 8, "h1", 2000)
	answer, _, err := w.q.Push(w.ctx, queue.Delivery{Jobs: []job.Job{a}})
	w.must(err)
	w.is("tree in the answer", answer.Jobs[0].Config, c.ID())
	w.push("waiting waiting", b, other)
	w.state(a, "superseded")
	claim := w.start(b)
	w.is("commit", claim.Wish.Config.Commit, "h2")
	w.is("no source half", claim.Wish.Source == nil, true)
	w.take(other)
	w.must(w.q.Finish(w.ctx, claim, job.Result{Outcome: job.Unchanged, Plan: "nothing"}))
	w.audit()
	w.is("plan", w.record(b).Result.Plan, "nothing")
	next, last := pull(c, 7, "h3", 4000), pull(c, 7, "h4", 5000)
	w.push("waiting", next)
	claim = w.start(next)
	w.push("parked", last)
	w.finish(claim, job.Unchanged)
	w.start(last)
}

func planOfAPullRequestStandsInNobodysWay(w *world) {
	c := tree("prod")
	read, look := sync(c, "", "k1", 1000), pull(c, 7, "h1", 2000)
	w.push("waiting", read)
	held := w.start(read)
	w.push("waiting", look)
	w.suspend(c.ID())
	claim := w.start(look)
	w.is("the tree's active job", claim.App.Active, read.ID)
	w.finish(held, job.Updated)
	w.finish(claim, job.Unchanged)
	st, _, err := w.q.Config(w.ctx, c.ID())
	w.must(err)
	w.is("last of the tree", st.State.Last, read.ID)
	w.is("result of the tree", st.State.Result.Outcome, job.Updated)
}

func treesAreListed(w *world) {
	read, never := tree("prod"), tree("test")
	w.sync(read, 1000, "web")
	fanOut := pushed(job.Job{Kind: job.Sync}, job.Half{Side: job.SourceSide, Repo: sourceRepo}, order("", "c1", 1000))
	w.push("waiting waiting waiting", sync(never, "", "k1", 1000), fanOut, pull(tree("look"), 7, "h1", 2000))
	trees, err := w.q.Trees(w.ctx)
	w.must(err)
	w.is("trees", fmt.Sprint(trees), fmt.Sprint([]string{read.ID(), never.ID()}))
}
