package queue_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue"
)

// Broken when: a move of the outbox whose answer was lost is made twice by the client's repetition.
func TestRepeatedMoveOfTheOutboxIsOne(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		ctx, hook := t.Context(), &repeat{}
		q.Times.Outbox.Backoff = time.Millisecond
		q.Redis().AddHook(hook)
		hook.on = true
		letters := []queue.Letter{{ID: "1", Channel: "a", Body: json.RawMessage(`1`)}, {ID: "2", Channel: "a", Body: json.RawMessage(`2`)}, {ID: "3", Channel: "b", Body: json.RawMessage(`3`)}}
		if ok, err := q.AppendLetters(ctx, queue.Feed{Upto: "1-0", Letters: letters}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		var got []string
		for step := range 4 {
			l, ok, err := q.TakeLetter(ctx, time.Minute)
			for end := time.Now().Add(time.Second); !ok && err == nil && time.Now().Before(end); {
				l, ok, err = q.TakeLetter(ctx, time.Minute)
			}
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			got = append(got, fmt.Sprintf("%s %d %t", l.ID, l.Tries, l.Unsure))
			if step == 0 {
				err = q.LetterFailed(ctx, l, queue.LetterFailure{Why: "down"})
				time.Sleep(3 * time.Millisecond)
			} else {
				err = q.LetterDone(ctx, l)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(got)
		if want := "1 0 false, 1 1 false, 2 0 false, 3 0 false"; strings.Join(got, ", ") != want {
			t.Errorf("sent %s, want %s", strings.Join(got, ", "), want)
		}
		if _, n, err := q.LettersDue(ctx); n != 0 || err != nil {
			t.Errorf("%d letters are left, %v", n, err)
		}
	})
}

// Broken when: a reader whose events were trimmed meanwhile is stuck.
func TestCursorThatWasLeftBehindGoesOnAtTheOldest(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		push(t, q, deployJob("web", "", "c1", 1))
		if more, err := feedSome(t.Context(), q); !more || err != nil {
			t.Fatal(more, err)
		}
		drain(t, q, time.Minute, &postbox{})
		for i := range 10 {
			push(t, q, deployJob(fmt.Sprint("app-", i), "", "c1", 1))
		}
		if err := q.Redis().XTrimMaxLen(t.Context(), q.Prefix()+"events", 5).Err(); err != nil {
			t.Fatal(err)
		}
		box := &postbox{}
		drain(t, q, time.Minute, box)
		box.check(t, q)
	})
}

// Broken when: what a hand did to the outbox stops it.
func TestOutboxOutlivesHands(t *testing.T) {
	each(t, func(t *testing.T, q *queue.Queue) {
		t.Helper()
		ctx, rdb := t.Context(), q.Redis()
		var letters []queue.Letter
		for _, c := range []string{"gone", "odd", "fine"} {
			letters = append(letters, queue.Letter{ID: "1", Channel: c, Body: json.RawMessage(`{}`)})
		}
		if ok, err := q.AppendLetters(ctx, queue.Feed{Upto: "1-0", Letters: letters}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, err := range []error{
			rdb.Del(ctx, q.Prefix()+"outbox:gone").Err(),
			rdb.LPush(ctx, q.Prefix()+"outbox:odd", "no letter").Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for {
			l, ok, err := q.TakeLetter(ctx, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			got = append(got, l.Channel)
			if l.Channel == "fine" {
				if err := rdb.Del(ctx, q.Prefix()+"outbox:fine").Err(); err != nil {
					t.Fatal(err)
				}
				if err := q.LetterFailed(ctx, l, queue.LetterFailure{Why: "down"}); !errors.Is(err, queue.ErrLost) {
					t.Errorf("a letter that is gone gave %v", err)
				}
			} else if err := q.LetterDone(ctx, l); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != "fine odd" {
			t.Errorf("letters went to %v", got)
		}
		if _, n, err := q.LettersDue(ctx); n != 0 || err != nil {
			t.Errorf("%d letters are left, %v", n, err)
		}
		audit(t, q)
	})
}

// Broken when: the audit, which the other tests trust, overlooks damage to the outbox.
func TestAuditSeesDamageToTheOutbox(t *testing.T) {
	damages := map[string]func(rdb *redis.Client, prefix string) error{
		"letters are gone":   func(rdb *redis.Client, p string) error { return rdb.Del(t.Context(), p+"outbox:ops").Err() },
		"channel is unknown": func(rdb *redis.Client, p string) error { return rdb.ZRem(t.Context(), p+"outbox", "ops").Err() },
		"another is first":   func(rdb *redis.Client, p string) error { return rdb.LPop(t.Context(), p+"outbox:ops").Err() },
		"tries are gone":     func(rdb *redis.Client, p string) error { return rdb.HDel(t.Context(), p+"sending:ops", "tries").Err() },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, q *queue.Queue) {
				t.Helper()
				l := queue.Letter{Channel: "ops", Body: json.RawMessage(`{}`)}
				if ok, err := q.AppendLetters(t.Context(), queue.Feed{Upto: "1-0", Letters: []queue.Letter{l, l}}); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if _, ok, err := q.TakeLetter(t.Context(), time.Minute); !ok || err != nil {
					t.Fatal(ok, err)
				}
				audit(t, q)
				if err := damage(q.Redis(), q.Prefix()); err != nil {
					t.Fatal(err)
				}
				if broken, err := q.Audit(t.Context()); err != nil || len(broken) == 0 {
					t.Errorf("the audit found %v, %v", broken, err)
				}
			})
		})
	}
}
