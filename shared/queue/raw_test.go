package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// each runs a test on both servers, with a queue of its own.
func each(t *testing.T, test func(*testing.T, *queue.Queue)) {
	t.Helper()
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) { test(t, open(t, server(t))) })
	}
}

func deployJob(app, before, after string, at int64) job.Job {
	const repo, ref = "https://github.com/acme/code", "refs/heads/main"
	return job.Job{
		ID:   job.Push{Kind: job.Deploy, Subject: app, Repo: repo, Ref: ref, Before: before, After: after, Time: at}.ID(),
		Kind: job.Deploy, App: app, Half: job.Half{Side: job.SourceSide, Repo: repo, Ref: ref, Commit: after},
		Order: job.Order{Time: at, Before: before, After: after},
	}
}

func push(t *testing.T, q *queue.Queue, jobs ...job.Job) {
	t.Helper()
	if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, q *queue.Queue) queue.Launch {
	t.Helper()
	l, ok, err := q.Take(t.Context(), 50)
	if err != nil || !ok {
		t.Fatalf("take gave %v, %v", ok, err)
	}
	return l
}

func audit(t *testing.T, q *queue.Queue) {
	t.Helper()
	broken, err := q.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(broken) > 0 {
		t.Fatalf("rules are broken:\n%s", strings.Join(broken, "\n"))
	}
}

func add(t *testing.T, q *queue.Queue, values ...string) {
	t.Helper()
	if err := q.Redis().XAdd(t.Context(), &redis.XAddArgs{Stream: q.Prefix() + "jobs", Values: values}).Err(); err != nil {
		t.Fatal(err)
	}
}

// Broken when: take hands out, or stops at, an entry that names no job.
func TestPoisonNeverBlocks(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		rdb, good := q.Redis(), deployJob("web", "", "c1", 1000)
		add(t, q, "nonsense", "x")
		add(t, q, "job", "nobody")
		add(t, q, "job", "", "more", "fields")
		if err := rdb.Set(t.Context(), q.Prefix()+"job:text", "not a hash", 0).Err(); err != nil {
			t.Fatal(err)
		}
		add(t, q, "job", "text")
		push(t, q, deployJob("bad", "", "c1", 1000), deployJob("alien", "", "c1", 1000), good)
		for app, text := range map[string]string{"bad": "{", "alien": mustEncode(t, good)} {
			if err := rdb.HSet(t.Context(), q.Prefix()+"job:"+string(deployJob(app, "", "c1", 1000).ID), "job", text).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := take(t, q).Job.ID, good.ID; got != want {
			t.Errorf("took %s, want %s", got, want)
		}
		dead, err := q.Dead(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(dead), 6; got != want {
			t.Errorf("%d dead entries, want %d: %+v", got, want, dead)
		}
		if err := rdb.Del(t.Context(), q.Prefix()+"job:text").Err(); err != nil {
			t.Fatal(err)
		}
		for _, app := range []string{"bad", "alien"} {
			r, err := rdb.HGet(t.Context(), q.Prefix()+"job:"+string(deployJob(app, "", "c1", 1000).ID), "state").Result()
			if err != nil || r != "failed" {
				t.Errorf("unreadable job is %q (%v), want failed", r, err)
			}
		}
		audit(t, q)
	})
}

func mustEncode(t *testing.T, j job.Job) string {
	t.Helper()
	b, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Broken when: take trusts an entry instead of the job's own record of its entry.
func TestStaleEntryIsDropped(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		j := deployJob("web", "", "c1", 1000)
		push(t, q, j)
		for range 3 {
			add(t, q, "job", string(j.ID))
		}
		l := take(t, q)
		if _, ok, err := q.Take(t.Context(), 50); ok || err != nil {
			t.Errorf("took a stale entry: %v", err)
		}
		audit(t, q)
		// A stale entry that comes before the current one.
		add(t, q, "job", string(j.ID))
		q.Times.Unlaunch = 0
		if err := q.Unlaunch(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		take(t, q)
		audit(t, q)
	})
}

// Broken when: due does not look at what was read and never marked, or queues it twice.
func TestEntryReadByACrashedHandIsReclaimed(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		first, j := deployJob("api", "", "c1", 1000), deployJob("web", "", "c1", 1000)
		push(t, q, first)
		take(t, q)
		push(t, q, j)
		add(t, q, "job", "nobody")
		read := redis.XReadGroupArgs{Group: "runners", Consumer: "launch", Streams: []string{q.Prefix() + "jobs", ">"}, Count: 10, Block: -1}
		if err := q.Redis().XReadGroup(t.Context(), &read).Err(); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := q.Take(t.Context(), 50); ok || err != nil {
			t.Fatalf("took %v, %v", ok, err)
		}
		for _, want := range []int{2, 0} {
			r, err := q.Due(t.Context())
			if err != nil || r.Reclaimed != want {
				t.Fatalf("reclaimed %d (%v), want %d", r.Reclaimed, err, want)
			}
			audit(t, q)
		}
		if got := take(t, q); got.Job.ID != j.ID || got.Attempt != 1 {
			t.Errorf("took %s at attempt %d, want %s at 1", got.Job.ID, got.Attempt, j.ID)
		}
	})
}

// Broken when: an entry that was read for a busy app stays pending for ever.
func TestEntryOfABusyAppIsParked(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		push(t, q, deployJob("web", "", "c1", 1000))
		take(t, q)
		j := deployJob("web", "c1", "c2", 2000)
		push(t, q, j)
		add(t, q, "job", string(j.ID))
		entries, err := q.Redis().XRevRangeN(t.Context(), q.Prefix()+"jobs", "+", "-", 1).Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Redis().HSet(t.Context(), q.Prefix()+"job:"+string(j.ID), "state", "waiting", "entry", entries[0].ID).Err(); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := q.Take(t.Context(), 50); ok || err != nil {
			t.Fatalf("took %v, %v", ok, err)
		}
		audit(t, q)
	})
}

// Broken when: a call whose answer was lost takes a second job when it is repeated.
func TestRepeatedTakeGivesTheSameJob(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		a, b := deployJob("web", "", "c1", 1000), deployJob("api", "", "c1", 1000)
		push(t, q, a, b)
		hook := &repeat{}
		q.Redis().AddHook(hook)
		hook.on = true
		if got := take(t, q); got.Job.ID != a.ID {
			t.Errorf("took %s, want %s", got.Job.ID, a.ID)
		}
		hook.on = false
		if got := take(t, q); got.Job.ID != b.ID {
			t.Errorf("took %s, want %s", got.Job.ID, b.ID)
		}
		audit(t, q)
	})
}

// Broken when: a subject stays blocked by an active job that the server lost.
func TestLostActiveJobBlocksNobody(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		a, b := deployJob("web", "", "c1", 1000), deployJob("web", "c1", "c2", 2000)
		push(t, q, a)
		take(t, q)
		if err := q.Redis().Del(t.Context(), q.Prefix()+"job:"+string(a.ID)).Err(); err != nil {
			t.Fatal(err)
		}
		push(t, q, b)
		if got := take(t, q); got.Job.ID != b.ID {
			t.Errorf("took %s, want %s", got.Job.ID, b.ID)
		}
		if _, err := q.Due(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Broken when: an ended job is tidied up before forges stop redelivering, or one that waits at all.
func TestOnlyWhatEndedIsTidiedUp(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		ended, waiting := deployJob("web", "", "c1", 1000), deployJob("api", "", "c1", 1000)
		if _, _, err := q.Push(t.Context(), queue.Delivery{GUID: "g", Jobs: []job.Job{ended, waiting}}); err != nil {
			t.Fatal(err)
		}
		l := take(t, q)
		c, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, "m")
		if err != nil {
			t.Fatal(err)
		}
		lines := func(j job.Job) {
			if err := q.Append(t.Context(), j.ID, []string{"a line"}); err != nil {
				t.Fatal(err)
			}
		}
		lines(ended)
		lines(waiting)
		if err := q.Finish(t.Context(), c, job.Result{Outcome: job.Created}); err != nil {
			t.Fatal(err)
		}
		ttl, err := q.Redis().TTL(t.Context(), q.Prefix()+"log:"+string(ended.ID)).Result()
		if err != nil || ttl.Hours() < 95 {
			t.Errorf("TTL of the log of an ended job is %s (%v)", ttl, err)
		}
		lines(ended)
		for key, want := range map[string]bool{
			"job:" + string(ended.ID): true, "log:" + string(ended.ID): true, "delivery:g": true,
			"job:" + string(waiting.ID): false, "log:" + string(waiting.ID): false, "desired:api": false, "app:web": false,
		} {
			ttl, err := q.Redis().TTL(t.Context(), q.Prefix()+key).Result()
			if err != nil {
				t.Fatal(err)
			}
			if got := ttl.Hours() > 95; got != want || (!want && ttl != -1) {
				t.Errorf("TTL of %s is %s", key, ttl)
			}
		}
	})
}

// Broken when: what ended leaves entries, consumers or members behind.
func TestEndedJobLeavesNothingInTheStreams(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		for i := range 20 {
			push(t, q, deployJob("web", "", "c1", int64(i+1)))
			l := take(t, q)
			c, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, fmt.Sprint("machine-", i))
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Finish(t.Context(), c, job.Result{Outcome: job.Unchanged}); err != nil {
				t.Fatal(err)
			}
		}
		consumers, err := q.Redis().XInfoConsumers(t.Context(), q.Prefix()+"jobs", "runners").Result()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(consumers), 1; got != want {
			t.Errorf("%d consumers are left, want %d", got, want)
		}
		if n := q.Redis().XLen(t.Context(), q.Prefix()+"jobs").Val(); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// Broken when: the claimed entry stays with the launcher, so that XPENDING lies to the reader.
func TestClaimedEntryIsTheMachines(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		push(t, q, deployJob("web", "", "c1", 1000))
		l := take(t, q)
		for _, want := range []string{"launch", "m1"} {
			p, err := q.Redis().XPendingExt(t.Context(), &redis.XPendingExtArgs{
				Stream: q.Prefix() + "jobs", Group: "runners", Start: "-", End: "+", Count: 10,
			}).Result()
			if err != nil || len(p) != 1 || p[0].Consumer != want {
				t.Fatalf("pending is %+v (%v), want one of %s", p, err, want)
			}
			if _, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, "m1"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Broken when: a program works on a layout that it does not know.
func TestOtherSchemaIsRefused(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		if err := q.Redis().Set(t.Context(), q.Prefix()+"schema", "999", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: []job.Job{deployJob("web", "", "c1", 1)}}); !errors.Is(err, queue.ErrSchema) {
			t.Errorf("push gave %v, want ErrSchema", err)
		}
		if err := q.Ping(t.Context()); !errors.Is(err, queue.ErrSchema) {
			t.Errorf("ping gave %v, want ErrSchema", err)
		}
		for name, change := range map[string]func() error{
			"hold": func() error { return q.HoldApp(t.Context(), "web", "broken") },
			"drop generations": func() error {
				return q.DropGenerations(t.Context(), job.Config{Repo: "https://github.com/acme/config"})
			},
		} {
			if err := change(); !errors.Is(err, queue.ErrSchema) {
				t.Errorf("%s gave %v, want ErrSchema", name, err)
			}
		}
	})
}

// Broken when: a script is not loaded again after the server lost it.
func TestServerThatForgotItsScriptsIsTaught(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		push(t, q, deployJob("web", "", "c1", 1000))
		if err := q.Redis().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		push(t, q, deployJob("web", "c1", "c2", 2000))
	})
}

// Broken when: an address is echoed with its password.
func TestBadAddressKeepsItsSecret(t *testing.T) {
	for _, url := range []string{"http://user:hunter2@host", "redis://:hunter2@host:port:port", "hunter2", "redis://:hunter2@h:1/x"} {
		_, err := queue.Open(url, "")
		if err == nil {
			t.Errorf("%s was opened", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in %q", err)
		}
	}
}

// Broken when: a claim gets a fence that is not above the last one, as the server's clock went back
// or two claims came in one millisecond.
func TestFenceGrowsAlthoughTheClockDoesNot(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		const last = 9_000_000_000_000_000
		if err := q.Redis().HSet(t.Context(), q.Prefix()+"app:web", "fence", int64(last)).Err(); err != nil {
			t.Fatal(err)
		}
		push(t, q, deployJob("web", "", "c1", 1000))
		l := take(t, q)
		c, err := q.Claim(t.Context(), l.Job.ID, l.Attempt, "m1")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Fence, int64(last+1); got != want {
			t.Errorf("fence is %d, want %d", got, want)
		}
	})
}
