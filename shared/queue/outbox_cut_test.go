package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/queue"
)

// postbox is where letters arrive. It checks that each channel's letters come in order, and that one comes again only
// where its sender knew that it might have come before.
type postbox struct {
	mu     sync.Mutex
	came   map[string][]string
	broken []string
	twice  int
}

func (p *postbox) receive(channel, id string, unsure bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.came == nil {
		p.came = map[string][]string{}
	}
	list := p.came[channel]
	switch {
	case len(list) > 0 && list[len(list)-1] == id:
		p.twice++
		if !unsure {
			p.broken = append(p.broken, fmt.Sprintf("%s came to %s again, and its sender did not know", id, channel))
		}
	case slices.Contains(list, id):
		p.broken = append(p.broken, fmt.Sprintf("%s came to %s again after others", id, channel))
	default:
		p.came[channel] = append(list, id)
	}
}

// check holds what came against the events: one letter for each, in their order.
func (p *postbox) check(t *testing.T, q *queue.Queue) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.broken {
		t.Error(b)
	}
	want := map[string][]string{}
	events, err := q.Events(t.Context(), "", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		want[e.Subject] = append(want[e.Subject], e.ID)
	}
	for channel, ids := range want {
		if got := p.came[channel]; !slices.Equal(got, ids) {
			t.Errorf("to %s came\n%s, want\n%s", channel, strings.Join(got, " "), strings.Join(ids, " "))
		}
	}
	if len(p.came) != len(want) {
		t.Errorf("letters came to %d channels, want %d", len(p.came), len(want))
	}
	list, _, err := q.Undelivered(t.Context(), 10)
	if err != nil || len(list) > 0 {
		t.Errorf("given up: %+v, %v", list, err)
	}
	audit(t, q)
}

// feedSome makes one letter of each of the next events.
func feedSome(ctx context.Context, q *queue.Queue) (more bool, err error) {
	cursor, err := q.FeedCursor(ctx)
	if err != nil {
		return false, err
	}
	events, err := q.Events(ctx, cursor, 4)
	if err != nil || len(events) == 0 {
		return false, err
	}
	f := queue.Feed{After: cursor, Upto: events[len(events)-1].ID}
	for _, e := range events {
		f.Letters = append(f.Letters, queue.Letter{ID: e.ID, Channel: e.Subject, Body: json.RawMessage(`{}`)})
	}
	_, err = q.AppendLetters(ctx, f)
	return true, err
}

// deliver feeds what happened and sends every letter that is due.
func deliver(ctx context.Context, q *queue.Queue, lease time.Duration, send func(queue.Letter) error) error {
	for more := true; more; {
		var err error
		if more, err = feedSome(ctx, q); err != nil {
			return err
		}
		for {
			l, ok, err := q.TakeLetter(ctx, lease)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := send(l); err != nil {
				return err
			}
			if err := q.LetterDone(ctx, l); err != nil && !errors.Is(err, queue.ErrLost) {
				return err
			}
		}
	}
	return nil
}

// drain delivers until nothing is left.
func drain(t *testing.T, q *queue.Queue, lease time.Duration, box *postbox) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		err := deliver(t.Context(), q, lease, func(l queue.Letter) error {
			box.receive(l.Channel, l.ID, l.Unsure)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		next, n, err := q.LettersDue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		time.Sleep(time.Until(next))
	}
	t.Fatal("letters are left")
}

// cut is a process that dies at its nth command: before it was sent, or after, without its answer.
type cut struct {
	at, n int
	after bool
	dead  bool
}

var errDead = errors.New("the process was killed")

func (c *cut) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if c.n++; c.dead || c.n == c.at {
			if !c.dead && c.after {
				_ = next(ctx, cmd)
			}
			c.dead = true
			cmd.SetErr(errDead)
			return errDead
		}
		return next(ctx, cmd)
	}
}

func (c *cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Broken when: a process that is killed at any of its commands loses a letter, doubles it, or sends it again blindly.
func TestKilledAtAnyCommandLosesAndDoublesNoLetter(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url, twice := server(t), 0
			for at, over := 1, false; !over; at++ {
				for _, after := range []bool{false, true} {
					q, box := open(t, url), &postbox{}
					for i := range 3 {
						push(t, q, deployJob("web", "", fmt.Sprint("w", i), int64(i+1)), deployJob("api", "", fmt.Sprint("a", i), int64(i+1)))
					}
					mine, hook := another(t, url, q), &cut{at: at, after: after}
					mine.Redis().AddHook(hook)
					err := deliver(t.Context(), mine, time.Millisecond, func(l queue.Letter) error {
						box.receive(l.Channel, l.ID, l.Unsure)
						return nil
					})
					if over = !hook.dead; !over && !errors.Is(err, errDead) {
						t.Fatalf("cut at %d gave %v", at, err)
					}
					drain(t, q, time.Minute, box)
					box.check(t, q)
					twice += box.twice
				}
			}
			if twice == 0 {
				t.Error("no cut fell between an arrival and its note")
			}
		})
	}
}

// Broken when: two processes that feed the same events append their letters twice, or one of them skips some.
func TestTwoFeedersAppendEachLetterOnce(t *testing.T) {
	for name, server := range servers() {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			q, box := open(t, url), &postbox{}
			var feeders sync.WaitGroup
			for range 4 {
				mine := another(t, url, q)
				feeders.Go(func() {
					for range 100 {
						if _, err := feedSome(t.Context(), mine); err != nil {
							t.Error(err)
						}
					}
				})
			}
			for i := range 40 {
				push(t, q, deployJob("web", "", fmt.Sprint("w", i), int64(i+1)), deployJob(fmt.Sprint("api-", i%3), "", fmt.Sprint("a", i), int64(i+1)))
			}
			feeders.Wait()
			drain(t, q, time.Minute, box)
			box.check(t, q)
			if box.twice > 0 {
				t.Errorf("%d letters came twice", box.twice)
			}
		})
	}
}
