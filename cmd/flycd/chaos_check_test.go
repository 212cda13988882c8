package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// settle waits until nothing waits, runs or is delayed.
func (c *chaos) settle() {
	c.t.Helper()
	began := time.Now()
	quiet := 0
	c.await("the queue to become empty", 5*time.Minute, func() bool {
		s, err := c.eye.Stats(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		if quiet++; s.Waiting+s.Active+s.Delayed > 0 {
			quiet = 0
		}
		return quiet > 10
	})
	c.mu.Lock()
	c.calm = false // the last dispatcher stays
	c.mu.Unlock()
	c.t.Logf("settled %s after the storm", time.Since(began).Round(time.Millisecond))
}

// keys lists the keys of a sort.
func (c *chaos) keys(sort string) []string {
	c.t.Helper()
	var keys []string
	it := c.rdb.Scan(c.t.Context(), 0, "flycd:"+sort+":*", 1000).Iterator()
	for it.Next(c.t.Context()) {
		keys = append(keys, it.Val())
	}
	if err := it.Err(); err != nil {
		c.t.Fatal(err)
	}
	return keys
}

// checkJobs accounts for every job: each is over as one of the good outcomes, and nothing is left anywhere.
func (c *chaos) checkJobs() {
	c.t.Helper()
	ctx := c.t.Context()
	outcomes := map[string]int{}
	for _, key := range c.keys("job") {
		id := job.ID(strings.TrimPrefix(key, "flycd:job:"))
		r, err := c.eye.Job(ctx, id)
		if err != nil {
			c.t.Errorf("%s: %v", key, err)
			continue
		}
		outcomes[r.State]++
		switch outcome := job.Outcome(r.State); {
		case outcome.Done():
		case outcome == job.Superseded:
			if _, err := c.eye.Job(ctx, r.SupersededBy); err != nil && r.Result.Detail == "" {
				c.t.Errorf("job %s of %s is superseded by nothing: %v", id, r.Job.Subject(), err)
			}
		default:
			c.complain(r)
		}
	}
	c.t.Logf("jobs: %v", outcomes)
	if broken, err := c.eye.Audit(ctx); err != nil || len(broken) > 0 {
		c.t.Errorf("the layout's rules are broken: %v, %v", broken, err)
	}
	for name, n := range map[string]func() (int64, error){
		"jobs": c.rdb.XLen(ctx, "flycd:jobs").Result, "jobs:low": c.rdb.XLen(ctx, "flycd:jobs:low").Result,
		"active": c.rdb.ZCard(ctx, "flycd:active").Result, "delayed": c.rdb.ZCard(ctx, "flycd:delayed").Result,
		"dead": c.rdb.XLen(ctx, "flycd:dead").Result,
	} {
		if got, err := n(); got != 0 || err != nil {
			c.t.Errorf("%s has %d entries (%v), want none", name, got, err)
		}
	}
	for _, stream := range []string{"flycd:jobs", "flycd:jobs:low"} {
		if p, err := c.rdb.XPending(ctx, stream, "runners").Result(); err != nil || p.Count != 0 {
			c.t.Errorf("%s: pending %+v, %v", stream, p, err)
		}
	}
	for _, sort := range []string{"app", "config"} {
		for _, key := range c.keys(sort) {
			if h := c.rdb.HGetAll(ctx, key).Val(); h["active"] != "" || h["next"] != "" {
				c.t.Errorf("%s still has active %q and next %q", key, h["active"], h["next"])
			}
		}
	}
	for _, key := range c.keys("desired") {
		if h := c.rdb.HGetAll(ctx, key).Val(); h["config"] != "" || h["source"] != "" || h["force"] != "" {
			c.t.Errorf("%s still wishes %v", key, h)
		}
	}
}

// complain shows a job that should have ended well.
func (c *chaos) complain(r queue.Record) {
	c.t.Helper()
	c.t.Errorf("job %s of %s (attempt %d, %d failed, %d lost) is %s: %s", r.Job.ID, r.Job.Subject(), r.Attempt, r.FailedAttempts, r.Lost, r.State, r.Detail)
	lines, err := c.eye.Tail(c.t.Context(), r.Job.ID, "", 30)
	if err != nil {
		c.t.Error(err)
	}
	for _, l := range lines {
		c.t.Log(l.Text)
	}
}

// checkApps compares what runs with the newest commits.
func (c *chaos) checkApps() {
	c.t.Helper()
	at := map[string][]flysim.MachineState{}
	for _, a := range c.Sim.State().Apps {
		for _, m := range a.Machines {
			if m.State != "destroyed" {
				at[a.Name] = append(at[a.Name], m)
			}
		}
	}
	for _, a := range c.apps {
		state, _, err := c.eye.AppState(c.t.Context(), a.name)
		if err != nil {
			c.t.Fatal(err)
		}
		if len(at[a.name]) != 1 {
			c.t.Errorf("%s has %d machines, want 1", a.name, len(at[a.name]))
			continue
		}
		c.checkMachine(a, state, at[a.name][0])
	}
}

func (c *chaos) checkMachine(a *chaosApp, state queue.AppState, m flysim.MachineState) {
	c.t.Helper()
	var config struct {
		Env map[string]string `json:"env"`
	}
	if err := json.Unmarshal(m.Config, &config); err != nil {
		c.t.Fatal(err)
	}
	if m.State != "started" || m.Lease != nil {
		c.t.Errorf("%s: machine is %s with lease %+v, want started and free", a.name, m.State, m.Lease)
	}
	if got := config.Env["GREETING"]; got != a.greeting {
		c.t.Errorf("%s says %q, the newest manifest %q", a.name, got, a.greeting)
		c.tell(a)
	}
	if got := m.Metadata["flycd_digest"]; got != state.Digest || got == "" {
		c.t.Errorf("%s: digest %q on the machine, %q in Redis", a.name, got, state.Digest)
	}
	if !slices.Contains(a.tree.commits, state.ConfigCommit) {
		c.t.Errorf("%s: config commit %q in Redis is none of the tree's", a.name, state.ConfigCommit)
	}
	if a.code == nil {
		return
	}
	newest := a.code.commits[a.since:]
	if !slices.Contains(newest, state.SourceCommit) {
		c.t.Errorf("%s: source commit %q in Redis, want one of %v", a.name, state.SourceCommit, newest)
	}
	if got := config.Env["FLYCD_APP_SOURCE_REF_COMMIT"]; !slices.Contains(newest, got) {
		c.t.Errorf("%s: source commit %q on the machine, want one of %v", a.name, got, newest)
	}
}

// checkReplays holds the kept answers against those that were given.
func (c *chaos) checkReplays() {
	c.t.Helper()
	jobs := len(c.keys("job"))
	for guid, said := range c.answers {
		kept, ok, err := c.eye.Answer(c.t.Context(), guid)
		if err != nil {
			c.t.Fatal(err)
		}
		if len(said.Jobs) == 0 || !ok {
			c.t.Errorf("delivery %s: answered %+v, kept %t: every push here concerns something", guid, said, ok)
			continue
		}
		if !slices.Equal(kept.Jobs, said.Jobs) {
			c.t.Errorf("delivery %s: answered %+v, kept %+v", guid, said.Jobs, kept.Jobs)
		}
		for _, p := range said.Jobs {
			if _, err := c.eye.Job(c.t.Context(), p.ID); err != nil {
				c.t.Errorf("delivery %s: %v", guid, err)
			}
		}
	}
	if got := len(c.keys("job")); got != jobs {
		c.t.Errorf("%d jobs, and later %d", jobs, got)
	}
}

// checkRunners waits until the runners are gone, and looks at what they left.
func (c *chaos) checkRunners() {
	c.t.Helper()
	c.await("the runners to end", time.Minute, func() bool { return len(c.runners()) == 0 })
	races, err := filepath.Glob(filepath.Join(c.home, "race*"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range races {
		text, _ := os.ReadFile(file)
		c.t.Errorf("a runner has a data race:\n%s", text)
	}
}
