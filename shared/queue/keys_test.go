package queue_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// keys lists the keys whose names have the part, without the prefix.
func keys(t *testing.T, q *queue.Queue, part string) []string {
	t.Helper()
	list, err := q.Redis().Keys(t.Context(), q.Prefix()+"*"+part+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range list {
		list[i] = strings.TrimPrefix(k, q.Prefix())
	}
	return list
}

func ttl(t *testing.T, q *queue.Queue, key string) time.Duration {
	t.Helper()
	d, err := q.Redis().TTL(t.Context(), q.Prefix()+key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Broken when: a script keeps something that the public layout does not tell of.
func TestLayoutNamesEveryKeyOfTheScripts(t *testing.T) {
	paper, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("lua/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`P \.\. '([a-z:]+)'`).FindAllStringSubmatch(string(text), -1) {
			if kind := m[1]; !regexp.MustCompile(`(?m)(^//\tflycd:|…:)`+kind+`([<, ]|$)`).Match(paper) && kind != "jobs:low" {
				t.Errorf("%s keeps flycd:%s…, which doc.go does not tell of", name, kind)
			}
		}
	}
}

// finish takes, claims and ends the job that is next.
func finish(t *testing.T, q *queue.Queue, o job.Outcome) {
	t.Helper()
	l := take(t, q)
	c, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, "m")
	if err == nil {
		err = q.Finish(t.Context(), c, job.Result{Outcome: o})
	}
	if err != nil {
		t.Fatal(err)
	}
	audit(t, q)
}

// Broken when: every pull request leaves a key behind for ever.
func TestPullRequestsAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		c := job.Config{Repo: "https://github.com/acme/config"}
		plan := func(salt string) job.Job {
			return job.Job{
				ID: job.SaltedID(job.Plan, c.ID(), salt), Kind: job.Plan, Config: c, Pull: 7, Reason: job.ByPull,
				Half: job.Half{Side: job.ConfigSide, Repo: c.Repo, Commit: salt},
			}
		}
		a := plan("a")
		subject := "plan:" + a.Subject()
		for i, o := range []job.Outcome{job.Unchanged, job.Failed, job.Rejected} {
			push(t, q, plan(fmt.Sprint(i)))
			if d := ttl(t, q, subject); d != -1 {
				t.Errorf("the TTL is %s while a plan waits", d)
			}
			finish(t, q, o)
			if d := ttl(t, q, subject); d < time.Hour {
				t.Errorf("the TTL is %s after a plan that was %s", d, o)
			}
		}
		push(t, q, a)
		if _, err := q.Cancel(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		if d := ttl(t, q, subject); d < time.Hour {
			t.Errorf("the TTL is %s after a plan that was cancelled", d)
		}
	})
}

// Broken when: what was destroyed is remembered for ever, or what stands is forgotten.
func TestTombstonesAreKeptForThirtyDays(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		c := job.Config{Repo: "https://github.com/acme/config"}
		if err := q.MarkDestroyed(t.Context(), "web"); err != nil {
			t.Fatal(err)
		}
		if list := keys(t, q, "tombstone"); len(list) > 0 {
			t.Errorf("an app that was never marked has %v", list)
		}
		if err := q.MarkGone(t.Context(), c, []queue.Gone{{Entry: catalog.Entry{App: "web"}}, {Entry: catalog.Entry{App: "api"}}}); err != nil {
			t.Fatal(err)
		}
		d := job.Job{ID: job.SaltedID(job.Destroy, "web", "x"), Kind: job.Destroy, App: "web"}
		push(t, q, d)
		if got := ttl(t, q, "tombstone:web"); got != -1 {
			t.Errorf("the TTL is %s before the destroy", got)
		}
		finish(t, q, job.Updated)
		if err := q.MarkDestroyed(t.Context(), "api"); err != nil {
			t.Fatal(err)
		}
		for _, app := range []string{"web", "api"} {
			if got := ttl(t, q, "tombstone:"+app); got < 29*24*time.Hour || got > 30*24*time.Hour {
				t.Errorf("the TTL of %s is %s", app, got)
			}
		}
		if err := q.Redis().Del(t.Context(), q.Prefix()+"tombstone:web", q.Prefix()+"tombstone:api").Err(); err != nil {
			t.Fatal(err)
		}
		list, err := q.Tombstones(t.Context(), c.ID())
		if left := keys(t, q, "tombstone"); err != nil || len(list)+len(left) > 0 {
			t.Errorf("thirty days later there are %v and %v (%v)", list, left, err)
		}
	})
}

// Broken when: a job that was to destroy an app and that vanished passes for one that will.
func TestVanishedJobDestroysNothing(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		c := job.Config{Repo: "https://github.com/acme/config"}
		if err := q.MarkGone(t.Context(), c, []queue.Gone{{Entry: catalog.Entry{App: "web"}}}); err != nil {
			t.Fatal(err)
		}
		d := job.Job{ID: job.SaltedID(job.Destroy, "web", "x"), Kind: job.Destroy, App: "web", DelayMS: 3_600_000}
		push(t, q, d)
		if s, _, err := q.Tombstone(t.Context(), "web"); err != nil || !s.Underway() {
			t.Fatalf("tombstone is %+v (%v)", s, err)
		}
		if err := q.Redis().Del(t.Context(), q.Prefix()+"job:"+string(d.ID)).Err(); err != nil {
			t.Fatal(err)
		}
		if s, found, err := q.Tombstone(t.Context(), "web"); err != nil || !found || s.Job != "" {
			t.Errorf("tombstone is %+v (%v)", s, err)
		}
	})
}

// Broken when: what a tree includes leaves keys behind.
func TestIncludesLeaveNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		c := job.Config{Repo: "https://github.com/acme/config"}
		for at, list := range [][]catalog.Include{{{Repo: "https://github.com/acme/lib"}, {Repo: "https://github.com/acme/lib", Ref: "v1"}, {Repo: "https://github.com/acme/lib", Ref: "refs/heads/v1"}}, nil} {
			gen, err := q.BeginGeneration(t.Context(), c)
			if err == nil {
				err = q.WriteIncludes(t.Context(), c, gen, list)
			}
			if err == nil {
				_, err = q.SwitchGeneration(t.Context(), queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: int64(at + 1)}})
			}
			if err == nil {
				err = q.DropGenerations(t.Context(), c)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if left := append(keys(t, q, "acme/lib"), keys(t, q, "includes")...); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
	})
}

// Broken when: a resume that died in the middle, or a hand that deletes the suspension, leaves jobs behind that
// nobody looks at again.
func TestForgottenSuspensionHoldsNobody(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		q.Times.Held = 0
		if err := q.Suspend(t.Context(), "web", queue.Suspension{}); err != nil {
			t.Fatal(err)
		}
		push(t, q, deployJob("web", "", "c1", 1000))
		if _, ok, err := q.Take(t.Context(), 10); ok || err != nil {
			t.Fatalf("take gave %v, %v", ok, err)
		}
		if err := q.Redis().HDel(t.Context(), q.Prefix()+"suspended", "web").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Due(t.Context()); err != nil {
			t.Fatal(err)
		}
		audit(t, q)
		take(t, q)
		if left := keys(t, q, "suspended"); len(left) > 0 {
			t.Errorf("there are %v", left)
		}
	})
}
