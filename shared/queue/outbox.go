package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gigurra/flycd/shared/job"
)

// MaxLetter is the most bytes that the body of a letter may have.
const MaxLetter = 256 << 10

// OutboxBounds bound the letters that wait, and the tries to send one.
type OutboxBounds struct {
	// Channel and All are the most letters of one channel, and of all: the oldest go.
	Channel, All int
	// Tries is the most tries of a letter, and Age how long after it was written it may be tried at the latest
	// once it failed. One that was never tried has one try, however late.
	Tries int
	Age   time.Duration
	// Backoff is the wait after a failure; it doubles with each failure of the channel in a row, up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
}

// DefaultOutboxBounds are the values for production.
func DefaultOutboxBounds() OutboxBounds {
	return OutboxBounds{
		Channel: 200, All: 20_000, Tries: 50, Age: 24 * time.Hour, Backoff: 10 * time.Second, MaxBackoff: time.Hour,
	}
}

// Event is one state change of one job, written by the script that made it.
type Event struct {
	// ID is the event's place; Events goes on after it.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Job  job.ID    `json:"job"`
	// Subject is app:NAME, plan:NAME or config:ID.
	Subject string `json:"subject"`
	// State is a state of a job that has not ended, or an outcome.
	State string `json:"state"`
	// Supersedes is the job, which waited until then, that ended because this one was pushed: it has no event of
	// its own.
	Supersedes job.ID `json:"supersedes,omitempty"`
	// Pushed is true for the first event of a job that was pushed.
	Pushed bool `json:"pushed,omitempty"`
}

// Letter is one message to a forge or to people. It holds no secret.
type Letter struct {
	// ID tells it from every other letter; one without gets one when it is appended.
	ID string `json:"id"`
	// Channel is where it goes. The letters of a channel are sent in their order, one at a time.
	Channel string `json:"channel"`
	// Body is JSON, of at most MaxLetter bytes.
	Body json.RawMessage `json:"body"`
	// Tries counts the times that it was begun to be sent before.
	Tries int `json:"tries,omitempty"`
	// Unsure is true where it may have arrived before: an earlier sender died in it, or said so when it failed.
	// Look before sending it again.
	Unsure bool `json:"unsure,omitempty"`
	// Created is when it was appended, by Redis' clock.
	Created time.Time `json:"created,omitzero"`
	// Until is when another sender may get it, on this machine's clock.
	Until time.Time `json:"until,omitzero"`

	lease string
}

// Feed is what a reader of the events makes of them.
type Feed struct {
	// After is the cursor that the events were read from, Upto the last of them.
	After, Upto string
	Letters     []Letter
}

// LetterFailure says why a letter did not arrive.
type LetterFailure struct {
	// Why is a sentence for people, without a secret.
	Why string
	// After is how long the destination asked to be left alone; zero: the usual backoff.
	After time.Duration
	// Final is true where no further try can help.
	Final bool
	// Unsure is true where it may have arrived all the same, as when the answer was lost.
	Unsure bool
}

// Events gives up to n events that come after the one with the given id, oldest first; an empty id starts at the
// first. Only the last 10,000 or so are kept: a reader who fell behind goes on at the oldest.
func (q *Queue) Events(ctx context.Context, after string, n int) ([]Event, error) {
	start := "-"
	if after != "" {
		start = "(" + after
	}
	if n <= 0 {
		return nil, nil
	}
	entries, err := q.rdb.XRangeN(ctx, q.prefix+"events", start, "+", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("read events after %q: %w", after, err)
	}
	list := make([]Event, len(entries))
	for i, e := range entries {
		// only push writes the field, be it empty
		_, pushed := e.Values["supersedes"]
		list[i] = Event{
			ID: e.ID, Time: entryTime(e.ID), Job: job.ID(text(e.Values["job"])), Subject: text(e.Values["subject"]),
			State: text(e.Values["state"]), Supersedes: job.ID(text(e.Values["supersedes"])), Pushed: pushed,
		}
	}
	return list, nil
}

// FeedCursor gives the id of the last event that letters were made of. It is empty on a server where none were.
func (q *Queue) FeedCursor(ctx context.Context) (string, error) {
	cursor, err := q.rdb.HGet(ctx, q.prefix+"feed", "cursor").Result()
	if err != nil && !none(err) {
		return "", fmt.Errorf("read cursor of the outbox: %w", err)
	}
	return cursor, nil
}

// AppendLetters appends letters and moves the cursor over the events that they tell of, at once. It gives false, and
// changes nothing, when the cursor is not at f.After any more: another one fed these events. Feed a few hundred events
// at a time, as nothing else is done meanwhile.
//
// A letter that cannot be kept as it is (too long, no JSON, no channel) goes to Undelivered, and so do the oldest
// where there are too many: one letter never keeps the others back.
func (q *Queue) AppendLetters(ctx context.Context, f Feed) (ok bool, err error) {
	if !follows(f.Upto, f.After) {
		return false, fmt.Errorf("append letters: event %q does not follow %q", f.Upto, f.After)
	}
	b := q.Times.Outbox
	args := []any{f.After, f.Upto, rand.Text(), b.Channel, b.All}
	for _, l := range f.Letters {
		why := l.trouble()
		if l.ID == "" || strings.ContainsAny(l.ID, " \t\r\n\v\f") {
			l.ID = rand.Text()
		}
		if why != "" {
			l.Channel, l.Body = strings.ToValidUTF8(l.Channel[:min(len(l.Channel), maxChannel)], ""), nil
		}
		args = append(args, l.Channel, l.ID, string(l.Body), why)
	}
	done, err := q.run(ctx, "outbox_feed.lua", args...).Int()
	if err != nil {
		return false, fmt.Errorf("append %d letters: %w", len(f.Letters), err)
	}
	return done == 1, nil
}

const maxChannel = 512

// trouble says why a letter cannot be sent; empty where it can.
func (l Letter) trouble() string {
	switch {
	case l.Channel == "" || len(l.Channel) > maxChannel || !utf8.ValidString(l.Channel):
		return fmt.Sprintf("a channel's name is text of 1 to %d bytes", maxChannel)
	case len(l.Body) > MaxLetter:
		return fmt.Sprintf("its body has %d bytes, and %d are allowed", len(l.Body), MaxLetter)
	case !json.Valid(l.Body):
		return "its body is no JSON"
	default:
		return ""
	}
}

// follows tells whether an event comes after another one, by their ids.
func follows(id, after string) bool {
	ms, n, ok := place(id)
	ams, an, _ := place(after)
	return ok && (ms > ams || (ms == ams && n > an) || after == "")
}

func place(id string) (ms, n uint64, ok bool) {
	a, b, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseUint(a, 10, 64)
	n, nerr := strconv.ParseUint(b, 10, 64)
	return ms, n, errors.Join(err, nerr) == nil
}

// TakeLetter gives the first letter of the channel that has been due for longest, and false when none is. Nobody else
// gets it, or another one of its channel, until the lease ends: send it by then, bounded by Letter.Until, and say
// LetterDone or LetterFailed. Who dies in it is outlived: the next sender gets it with Unsure.
func (q *Queue) TakeLetter(ctx context.Context, lease time.Duration) (Letter, bool, error) {
	start, token := time.Now(), rand.Text()
	reply, err := q.run(ctx, "outbox_take.lua", max(lease.Milliseconds(), 1), token, q.Times.Outbox.Tries).Slice()
	if err != nil {
		return Letter{}, false, fmt.Errorf("take a letter: %w", err)
	}
	if len(reply) < 6 {
		return Letter{}, false, nil
	}
	return Letter{
		Channel: str(reply[0]), ID: str(reply[1]), Created: moment(str(reply[2])), Body: json.RawMessage(str(reply[3])),
		Tries: int(integer(reply[4])), Unsure: integer(reply[5]) == 1, Until: start.Add(lease), lease: token,
	}, true, nil
}

// LetterDone takes a letter that arrived off its channel, and lets the next one follow. It returns ErrLost when the
// lease is another one's by now, or the letter was given up meanwhile: nothing is changed then.
func (q *Queue) LetterDone(ctx context.Context, l Letter) error {
	done, err := q.run(ctx, "outbox_done.lua", l.Channel, l.lease).Int()
	return q.ended(l, done, err)
}

// LetterFailed puts a letter that did not arrive off: it stays the first of its channel, and the channel waits. The
// letter is given up, and goes to Undelivered, when f is final, its tries are spent, or the next one would come too
// late. It returns ErrLost as LetterDone does.
func (q *Queue) LetterFailed(ctx context.Context, l Letter, f LetterFailure) error {
	b, wait := q.Times.Outbox, int64(0)
	if f.After > 0 {
		wait = max(f.After.Milliseconds(), 1)
	}
	done, err := q.run(ctx, "outbox_fail.lua", l.Channel, l.lease, f.Why, flag(f.Final), flag(f.Unsure), wait,
		b.Backoff.Milliseconds(), b.MaxBackoff.Milliseconds(), b.Tries, b.Age.Milliseconds()).Int()
	return q.ended(l, done, err)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (q *Queue) ended(l Letter, done int, err error) error {
	if err == nil && done != 1 {
		err = ErrLost
	}
	if err != nil {
		return fmt.Errorf("end letter %s for %s: %w", l.ID, l.Channel, err)
	}
	return nil
}

// LettersDue counts the letters that wait or are being sent, and says when one may be sent next, on this machine's
// clock: zero when there is none.
func (q *Queue) LettersDue(ctx context.Context) (next time.Time, n int, err error) {
	reply, err := q.run(ctx, "outbox_due.lua").Int64Slice()
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("count letters: %w", err)
	}
	if reply[0] >= 0 {
		// who asks a moment too early asks twice
		next = time.Now().Add(time.Duration(reply[0]) * time.Millisecond)
	}
	return next, int(reply[1]), nil
}
