package queue_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue"
)

// Broken when: the audit, which the other tests trust, overlooks damage of some sort.
func TestAuditSeesDamage(t *testing.T) {
	type server struct {
		*redis.Client
		prefix  string
		id, job string
		other   string
	}
	damages := map[string]func(s server) error{
		"no legal state":      func(s server) error { return s.HSet(t.Context(), s.job, "state", "dancing").Err() },
		"not in active":       func(s server) error { return s.ZRem(t.Context(), s.prefix+"active", s.id).Err() },
		"no active of an app": func(s server) error { return s.HDel(t.Context(), s.prefix+"app:web", "active").Err() },
		"no next of an app":   func(s server) error { return s.HDel(t.Context(), s.prefix+"app:api", "next").Err() },
		"entry that is gone":  func(s server) error { return s.Del(t.Context(), s.prefix+"jobs").Err() },
		"unended with a TTL":  func(s server) error { return s.Expire(t.Context(), s.job, time.Hour).Err() },
		"delayed by hand": func(s server) error {
			return s.ZAdd(t.Context(), s.prefix+"delayed", redis.Z{Score: 1, Member: s.id}).Err()
		},
		"a ghost is active": func(s server) error {
			return s.ZAdd(t.Context(), s.prefix+"active", redis.Z{Score: 1, Member: "ghost"}).Err()
		},
		"a ghost is queued": func(s server) error {
			return s.XAdd(t.Context(), &redis.XAddArgs{Stream: s.prefix + "jobs", Values: []string{"job", "ghost"}}).Err()
		},
		"held back by nothing": func(s server) error { return s.HSet(t.Context(), s.job, "suspended", "web").Err() },
		"in a suspension's set by hand": func(s server) error {
			return s.SAdd(t.Context(), s.prefix+"suspended:web", s.id).Err()
		},
		"active with a TTL": func(s server) error { return s.Expire(t.Context(), s.prefix+"app:web", time.Hour).Err() },
		"waits before its time": func(s server) error {
			return s.HSet(t.Context(), s.other, "floor", time.Now().Add(time.Hour).UnixMilli()).Err()
		},
		"waits beside an active one": func(s server) error {
			return s.HSet(t.Context(), s.prefix+"app:api", "active", s.id).Err()
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, q *queue.Queue) {
				t.Helper()
				push(t, q, deployJob("web", "", "c1", 1000))
				l := take(t, q)
				api := deployJob("api", "", "c1", 1000)
				push(t, q, api)
				audit(t, q)
				s := server{q.Redis(), q.Prefix(), string(l.Job.ID), q.Prefix() + "job:" + string(l.Job.ID), q.Prefix() + "job:" + string(api.ID)}
				if err := damage(s); err != nil {
					t.Fatal(err)
				}
				if broken, err := q.Audit(t.Context()); err != nil || len(broken) == 0 {
					t.Errorf("the audit found %v, %v", broken, err)
				}
			})
		})
	}
}
