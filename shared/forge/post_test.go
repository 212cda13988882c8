package forge_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

var (
	_ forge.Events = (*queue.Queue)(nil)
	_ forge.Outbox = (*queue.Queue)(nil)
	_ forge.Jobs   = (*queue.Queue)(nil)
)

// Broken when: a commit does not show what becomes of it, or shows it twice.
func TestDeployIsToldAtItsCommit(t *testing.T) {
	each(t, func(o *office) {
		t := o.t
		o.catalog(o.web())
		j := o.push(o.job(nil))
		o.deliver()
		o.deliver()
		o.shows("flycd/web pending queued")
		r := updated(3)
		r.SourceCommit, r.ConfigCommit = o.commit, o.commit
		c := o.start(j)
		o.deliver()
		o.shows("flycd/web pending queued")
		must(t, o.q.Finish(t.Context(), c, r))
		o.deliver()
		o.deliver()
		o.shows("flycd/web pending queued", "flycd/web success updated: release 3")
		st := o.state(t)
		for _, s := range st.Statuses {
			if s.SHA != o.commit || !strings.HasSuffix(s.Description, " · "+string(j.ID[:8])) || s.TargetURL != "https://flycd.example/jobs/"+string(j.ID) {
				t.Errorf("a status is %+v", s)
			}
		}
		if d := st.Deployments; len(d) != 1 || d[0].SHA != o.commit || d[0].Environment != "prod/eu/web" || d[0].URL != "https://web.fly.dev" ||
			strings.Join(d[0].States, " ") != "success" {
			t.Errorf("the deployments are %+v", d)
		}
		if n := o.notices(); len(n) != 1 || n[0].Job != j.ID || n[0].Outcome != job.Updated || n[0].Release != 3 || n[0].Actor != "ann" || n[0].URL != "https://web.fly.dev" {
			t.Errorf("the notices are %+v", n)
		}
		if got := o.box.got("/chat"); len(got) != 0 {
			t.Errorf("the chat, which is told of failures alone, got %q", got)
		}
	})
}

// Broken when: what is over already is told as if it were to come.
func TestWhatIsOverIsToldAtOnce(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	o.catalog(o.web())
	o.run(o.job(nil), job.Result{Outcome: job.Rejected, Detail: "app.yaml:3: no such region: mars"})
	o.run(o.job(nil), job.Result{Outcome: job.Unchanged})
	o.deliver()
	o.shows("flycd/web failure rejected: app.yaml:3: no such region: mars", "flycd/web success unchanged: it runs as it should")
	if d := o.state(t).Deployments; len(d) != 0 {
		t.Errorf("the deployments are %+v", d)
	}
	if got := o.box.got("/chat"); len(got) != 1 || !strings.Contains(got[0], "app.yaml:3") || !strings.Contains(got[0], "was rejected") {
		t.Errorf("the chat got %q", got)
	}
}

// Broken when: a commit that a newer one overtook waits for ever, or one that is still wished for is called overtaken.
func TestOvertakenCommitIsNotLeftPending(t *testing.T) {
	each(t, func(o *office) {
		t := o.t
		o.catalog(o.web())
		first := o.commit
		o.push(o.job(nil))
		o.deliver()
		o.push(o.job(nil)) // the same commit again
		o.deliver()
		c, _, err := o.sim.Commit(t.Context(), forgesim.Commit{Repo: "acme/web", Branch: "main", Message: "two", Files: map[string]string{"a": "2"}})
		must(t, err)
		o.push(o.job(func(j *job.Job) { j.Half.Commit = c.After }))
		o.deliver()
		late := o.push(o.job(func(j *job.Job) { j.Order.Time, j.Half.Commit = 1, first }))
		o.deliver()
		o.shows("flycd/web pending queued", "flycd/web pending queued",
			"flycd/web error a newer wish took its place", "flycd/web pending queued", "flycd/web error a newer wish took its place")
		st := o.state(t).Statuses
		if st[2].SHA != first || st[3].SHA != c.After || st[4].SHA != first || !strings.HasSuffix(st[4].Description, string(late.ID[:8])) {
			t.Errorf("they are %+v", st)
		}
	})
}

// Broken when: a config repository that cannot be read says nothing, or says it at another tree's name.
func TestSyncIsToldAtTheConfigCommit(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	o.post.Notify = []catalog.Notify{{To: "ci"}}
	sync := func(j *job.Job) { j.Kind, j.App, j.Half.Side = job.Sync, "", job.ConfigSide }
	o.run(o.job(sync), job.Result{Outcome: job.Rejected, Detail: "prod/web/app.yaml:1: what?"})
	o.run(o.job(sync), job.Result{Outcome: job.Updated, Jobs: []job.ID{"a", "b"}})
	o.deliver()
	fan := func(j *job.Job) { sync(j); j.Config = job.Config{} }
	o.run(o.job(fan), job.Result{Outcome: job.Updated})
	o.run(o.job(fan), job.Result{Outcome: job.Failed, Detail: "no answer"})
	o.deliver()
	o.shows("flycd/sync#prod failure rejected: prod/web/app.yaml:1: what?", "flycd/sync#prod success read, and 2 to do", "flycd/sync failure failed: no answer")
	if n := o.notices(); len(n) != 2 || n[0].Tree != o.tree().ID() || n[0].Kind != job.Sync {
		t.Errorf("the notices are %+v", n)
	}
}

// Broken when: a sweep that finds the same every hour adds a status every hour.
func TestSweepsRepeatNothing(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	o.catalog(o.web())
	sweep := func(j *job.Job) { j.Reason, j.Half = job.BySweep, job.Half{} }
	same := job.Result{Outcome: job.Unchanged, SourceCommit: o.commit}
	for _, r := range []job.Result{same, same, {Outcome: job.Failed, Detail: "first", SourceCommit: o.commit}, {Outcome: job.Failed, Detail: "second", SourceCommit: o.commit}, same} {
		o.run(o.job(sweep), r)
		o.deliver()
	}
	o.shows("flycd/web success unchanged: it runs as it should", "flycd/web failure failed: first", "flycd/web success unchanged: it runs as it should")
}

// Broken when: a pull request gets a comment for every push, or somebody else's comment is written over.
func TestPullRequestHasOneComment(t *testing.T) {
	each(t, func(o *office) {
		t := o.t
		pull := func(j *job.Job) {
			j.Kind, j.App, j.Pull, j.Reason, j.Half.Side = job.Plan, "", 1, job.ByPull, job.ConfigSide
		}
		must(t, raw(t, o.world, http.MethodPut, "/_sim/repos", `{"repo":"acme/web"}`))
		_, _, err := o.sim.Commit(t.Context(), forgesim.Commit{Repo: "acme/web", Branch: "change", Message: "c", Files: map[string]string{"b": "2"}})
		must(t, err)
		must(t, raw(t, o.world, http.MethodPost, "/_sim/pulls", `{"repo":"acme/web","head":"change","base":"main","title":"x","user":"eve"}`))
		hidden := "<!-- flycd: plan of " + o.tree().ID() + " -->"
		body, err := json.Marshal(map[string]any{"repo": "acme/web", "number": 1, "user": "eve", "body": hidden + "\nmine"})
		must(t, err)
		must(t, raw(t, o.world, http.MethodPost, "/_sim/comments", string(body)))
		for _, r := range []job.Result{
			{Outcome: job.Updated, Plan: "plan one"},
			{Outcome: job.Updated, Plan: "plan two"},
			{Outcome: job.Rejected, Detail: "app.yaml:1: `@everyone` <b>"},
			{Outcome: job.Cancelled},
		} {
			o.run(o.job(pull), r)
			o.deliver()
		}
		list := o.state(t).Comments
		if len(list) != 2 || list[0].User != "eve" || list[0].Body != hidden+"\nmine" || list[1].User != "bot" {
			t.Fatalf("the comments are %+v", list)
		}
		if got := list[1].Body; !strings.HasPrefix(got, hidden+"\n") || !strings.Contains(got, "`` app.yaml:1: `@everyone` <b> ``") && !strings.Contains(got, "``app.yaml:1: `@everyone` <b>``") {
			t.Errorf("the comment is %s", got)
		}
		o.shows("flycd/plan#prod success the plan is in the comment", "flycd/plan#prod success the plan is in the comment",
			"flycd/plan#prod failure rejected: app.yaml:1: `@everyone` <b>", "flycd/plan#prod error cancelled")
		if n := o.notices(); len(n) != 0 {
			t.Errorf("the notices are %+v", n)
		}
	})
}

// Broken when: an answer that was lost makes a second status, deployment, comment or notice.
func TestLostAnswersRepeatNothing(t *testing.T) {
	effects := map[string]forgesim.Effect{
		"dropped before": {Drop: "before"}, "dropped after": {Drop: "after"}, "500": {Status: 500}, "502 after": {Status: 502, After: true},
	}
	o := newOffice(t, queuetest.Embedded(t))
	o.catalog(o.web())
	n := 0
	for name, do := range effects {
		for _, path := range []string{"*/statuses/*", "*/deployments", "*/deployments/*/statuses"} {
			must(t, o.sim.SetFaults(fault(http.MethodPost, path, do)))
			r := updated(n + 1)
			r.SourceCommit = o.commit
			o.run(o.job(nil), r)
			o.deliver()
			n++
			st := o.state(t)
			if len(st.Statuses) != n || len(st.Deployments) != n {
				t.Fatalf("%s at %s: %d statuses and %d deployments of %d", name, path, len(st.Statuses), len(st.Deployments), n)
			}
			if got := strings.Join(st.Deployments[n-1].States, " "); got != "success" {
				t.Errorf("%s at %s: the deployment went through %s", name, path, got)
			}
		}
	}
	if got := o.notices(); len(got) != n {
		t.Errorf("%d notices of %d", len(got), n)
	}
}

// Broken when: a forge that asks to be left alone is asked on.
func TestForgeThatAsksToWaitIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		do       forgesim.Effect
		min, max time.Duration
	}{
		"retry after":     {forgesim.Effect{Status: 429, Header: map[string]string{"Retry-After": "40"}, Repeat: -1}, 38 * time.Second, 41 * time.Second},
		"secondary limit": {forgesim.Effect{Status: 403, Header: map[string]string{"Retry-After": "50"}, Body: json.RawMessage(`{"message":"slow down","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`), Repeat: -1}, 48 * time.Second, 51 * time.Second},
		"spent":           {forgesim.Effect{Status: 403, Header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": itoa(time.Now().Add(2 * time.Minute).Unix())}, Repeat: -1}, 100 * time.Second, 2 * time.Minute},
		"denied":          {forgesim.Effect{Status: 403, Repeat: -1}, 29 * time.Minute, 31 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, queuetest.Embedded(t))
			o.push(o.job(nil))
			must(t, o.sim.SetFaults(fault(http.MethodPost, "*", c.do)))
			for range 2 {
				rep, err := o.post.Deliver(t.Context(), time.Second)
				must(t, err)
				if rep.Sent != 0 {
					t.Errorf("the report is %+v", rep)
				}
			}
			next, left, err := o.q.LettersDue(t.Context())
			must(t, err)
			if wait := time.Until(next); left != 1 || wait < c.min || wait > c.max {
				t.Errorf("%d letters wait for %s", left, wait)
			}
		})
	}
}

// Broken when: what no try can help keeps what comes after it back, or vanishes.
func TestHopelessLetterIsGivenUpAndSeen(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	e := o.web()
	e.Notify = []catalog.Notify{{To: "nobody"}, {To: "ci"}}
	o.catalog(e)
	o.run(o.job(func(j *job.Job) { j.Half.Commit = strings.Repeat("0", 40) }), job.Result{Outcome: job.Failed, Detail: "x"})
	o.run(o.job(nil), job.Result{Outcome: job.Failed, Detail: "y"})
	o.deliver()
	o.shows("flycd/web failure failed: y")
	if n := o.notices(); len(n) != 2 {
		t.Errorf("the notices are %+v", n)
	}
	list, total, err := o.q.Undelivered(t.Context(), 10)
	must(t, err)
	var why []string
	for _, u := range list {
		why = append(why, u.Why)
	}
	if all := strings.Join(why, "\n"); total != 3 || strings.Count(all, "FLYCD_NOTIFY names no such destination") != 2 || !strings.Contains(all, "answered 422") {
		t.Errorf("%d were given up: %s", total, all)
	}
}

// Broken when: what was pruned is not told, as the catalog knows it no more.
func TestPrunedAppIsTold(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	e := o.web()
	e.Config, e.Notify = o.tree(), []catalog.Notify{{To: "ci", On: []string{"success"}}}
	o.catalog(e)
	must(t, o.q.MarkGone(t.Context(), o.tree(), []queue.Gone{{Entry: e, Commit: o.commit}}))
	o.catalog()
	// a deploy that came too late is worded together with the destroy
	o.run(o.job(nil), job.Result{Outcome: job.Rejected, Detail: "no tree names it"})
	o.run(o.job(func(j *job.Job) { j.Kind, j.Half, j.Reason = job.Destroy, job.Half{}, job.BySync }), job.Result{Outcome: job.Updated})
	o.deliver()
	o.shows("flycd/web failure rejected: no tree names it")
	if n := o.notices(); len(n) != 1 || n[0].Kind != job.Destroy || n[0].App != "web" {
		t.Errorf("the notices are %+v", n)
	}
}

// Broken when: who sets the forge up today is told of last week, or a repository of another forge is asked for here.
func TestOldAndForeignAreToldToNobody(t *testing.T) {
	o := newOffice(t, queuetest.Embedded(t))
	o.push(o.job(func(j *job.Job) { j.Half.Repo = "https://gitlab.example/acme/web" }))
	o.push(o.job(func(j *job.Job) { j.App = "api" }))
	o.post.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	o.deliver()
	o.post.Now = nil
	o.push(o.job(func(j *job.Job) { j.App, j.Half.Repo = "db", "https://gitlab.example/acme/web" }))
	o.deliver()
	o.shows()
	requests := o.sim.State().Requests
	for route, n := range requests {
		if strings.HasPrefix(route, "POST") && n > 0 {
			t.Errorf("the forge was asked %s", route)
		}
	}
}
