package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// tell logs all that Redis knows of an app that ended wrong, and of its config tree: its hashes, and its jobs
// in their order with their results and logs.
func (c *chaos) tell(a *chaosApp) {
	c.t.Helper()
	ctx := c.t.Context()
	tree := a.tree.config().ID()
	for _, key := range []string{"app:" + a.name, "desired:" + a.name, "config:" + tree, "desired:" + tree, "catalog:" + tree} {
		c.t.Logf("%s: %v", key, c.rdb.HGetAll(ctx, "flycd:"+key).Val())
	}
	var jobs []queue.Record
	for _, key := range c.keys("job") {
		r, err := c.eye.Job(ctx, job.ID(strings.TrimPrefix(key, "flycd:job:")))
		if err == nil && slices.Contains([]string{"app:" + a.name, "config:" + tree}, r.Job.Subject()) {
			jobs = append(jobs, r)
		}
	}
	slices.SortFunc(jobs, func(a, b queue.Record) int { return cmp.Compare(a.Job.ID, b.Job.ID) })
	for _, r := range jobs {
		c.t.Logf("job %s: %v", r.Job.ID, c.rdb.HGetAll(ctx, "flycd:job:"+string(r.Job.ID)).Val())
		lines, _ := c.eye.Tail(ctx, r.Job.ID, "", 1000)
		for _, l := range lines {
			c.t.Log(l.Text)
		}
	}
	for _, e := range c.rdb.XRange(ctx, "flycd:events", "-", "+").Val() {
		if e.Values["subject"] == "app:"+a.name || e.Values["subject"] == "config:"+tree {
			c.t.Log(e.ID, e.Values)
		}
	}
	for _, s := range c.Sim.State().Apps {
		for _, m := range s.Machines {
			if s.Name == a.name {
				text, _ := json.Marshal(m)
				c.t.Logf("machine %s", text)
			}
		}
	}
}
