package queuetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func outboxLaws() []Law {
	return []Law{
		{"EventsAreReadInOrder", eventsAreReadInOrder},
		{"EventsAreFedOnce", eventsAreFedOnce},
		{"FeedGoesForwardOnly", feedGoesForwardOnly},
		{"LettersOfAChannelGoInOrder", lettersOfAChannelGoInOrder},
		{"OneLetterOfAChannelIsSentAtATime", oneLetterOfAChannelIsSentAtATime},
		{"ChannelsTakeTurns", channelsTakeTurns},
		{"LetterIsGivenAsItWasWritten", letterIsGivenAsItWasWritten},
		{"DeadSenderIsOutlivedAndTold", deadSenderIsOutlivedAndTold},
		{"StaleSenderEndsNobodysLetter", staleSenderEndsNobodysLetter},
	}
}

// long is a lease that no law outlives.
const long = time.Minute

// written is a letter: "ops:1" is the letter 1 for the channel ops.
func written(name string) queue.Letter {
	channel, id, _ := strings.Cut(name, ":")
	return queue.Letter{ID: id, Channel: channel, Body: json.RawMessage(`{"text":"` + name + `"}`)}
}

// post appends letters, as if each were about an event of its own.
func (w *world) post(names ...string) {
	cursor, err := w.q.FeedCursor(w.ctx)
	w.must(err)
	f := queue.Feed{After: cursor, Upto: after(cursor)}
	for _, n := range names {
		f.Letters = append(f.Letters, written(n))
	}
	w.feed(f, true)
}

// after is a cursor that follows another one.
func after(cursor string) string {
	var n int
	if _, err := fmt.Sscanf(cursor, "%d-", &n); err != nil && cursor != "" {
		return "no cursor: " + cursor
	}
	return fmt.Sprintf("%d-0", n+1)
}

func (w *world) feed(f queue.Feed, want bool) {
	ok, err := w.q.AppendLetters(w.ctx, f)
	w.must(err)
	w.is("the events were fed", ok, want)
	w.audit()
}

// letter takes the letter of the given name.
func (w *world) letter(name string, lease time.Duration) queue.Letter {
	l, ok, err := w.q.TakeLetter(w.ctx, lease)
	w.must(err)
	w.audit()
	w.is("a letter is due", ok, true)
	w.is("letter", l.Channel+":"+l.ID, name)
	return l
}

// later waits until a letter is due, which must be the given one.
func (w *world) later(name string, lease time.Duration) queue.Letter {
	w.until("a letter is due", func() bool {
		next, _, err := w.q.LettersDue(w.ctx)
		w.must(err)
		return !next.IsZero() && !next.After(time.Now())
	})
	return w.letter(name, lease)
}

// quiet checks that no letter is due.
func (w *world) quiet() {
	l, ok, err := w.q.TakeLetter(w.ctx, long)
	w.must(err)
	if ok {
		w.fail("took letter %s of %s, want none", l.ID, l.Channel)
	}
	w.audit()
}

func (w *world) delivered(l queue.Letter) {
	w.must(w.q.LetterDone(w.ctx, l))
	w.audit()
}

func (w *world) undelivered(l queue.Letter, f queue.LetterFailure) {
	w.must(w.q.LetterFailed(w.ctx, l, f))
	w.audit()
}

// givenUp checks which letters were given up, oldest first, and why the last was.
func (w *world) givenUp(names, why string) {
	list, total, err := w.q.Undelivered(w.ctx, 100)
	w.must(err)
	var got []string
	for _, u := range list {
		got = append([]string{u.Letter.Channel + ":" + u.Letter.ID}, got...)
	}
	w.is("letters that were given up", strings.Join(got, " "), names)
	w.is("their number", total, int64(len(list)))
	if len(list) > 0 && !strings.Contains(list[0].Why, why) {
		w.fail("a letter was given up for %q, want %q", list[0].Why, why)
	}
}

func (w *world) letters(want int) {
	_, n, err := w.q.LettersDue(w.ctx)
	w.must(err)
	w.is("letters", n, want)
}

func eventsAreReadInOrder(w *world) {
	a, b := source("web", "", "c1", 1000), source("web", "c1", "c2", 2000)
	w.push("waiting", a)
	w.push("waiting", b)
	w.finish(w.start(b), job.Created)
	var got []string
	cursor := ""
	for {
		list, err := w.q.Events(w.ctx, cursor, 2)
		w.must(err)
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			w.is("subject", e.Subject, "app:web")
			got = append(got, fmt.Sprintf("%s %t %t", e.State, e.Job == b.ID, e.Supersedes == a.ID))
			cursor = e.ID
		}
	}
	w.is("events", strings.Join(got, ", "),
		"waiting false false, waiting true true, launching true false, claimed true false, created true false")
	none, err := w.q.Events(w.ctx, "", 0)
	w.must(err)
	w.is("no events", len(none), 0)
}

func eventsAreFedOnce(w *world) {
	cursor, err := w.q.FeedCursor(w.ctx)
	w.must(err)
	w.is("first cursor", cursor, "")
	mine := queue.Feed{Upto: "5-1", Letters: []queue.Letter{written("ops:1"), written("ops:2")}}
	w.feed(mine, true)
	w.feed(mine, false)
	w.feed(queue.Feed{After: "5-0", Upto: "6-0", Letters: mine.Letters}, false)
	w.feed(queue.Feed{After: "5-1", Upto: "6-0"}, true)
	cursor, err = w.q.FeedCursor(w.ctx)
	w.must(err)
	w.is("cursor", cursor, "6-0")
	w.letters(2)
}

func feedGoesForwardOnly(w *world) {
	w.post("ops:1")
	for _, f := range []queue.Feed{{After: "1-0"}, {After: "1-0", Upto: "1-0"}, {After: "1-0", Upto: "0-9"}, {After: "1-0", Upto: "x"}} {
		f.Letters = []queue.Letter{written("ops:2")}
		if ok, err := w.q.AppendLetters(w.ctx, f); ok || err == nil {
			w.fail("fed %q to %q", f.After, f.Upto)
		}
	}
	w.letters(1)
}

func lettersOfAChannelGoInOrder(w *world) {
	w.post("ops:1", "ops:2")
	w.post("ops:3")
	for _, n := range []string{"ops:1", "ops:2", "ops:3"} {
		w.delivered(w.letter(n, long))
	}
	w.quiet()
	w.letters(0)
	w.post("ops:4")
	w.delivered(w.letter("ops:4", long))
}

// Broken when: two senders send a channel's letters at once, so that the later one may arrive first.
func oneLetterOfAChannelIsSentAtATime(w *world) {
	w.post("ops:1", "ops:2")
	l := w.letter("ops:1", long)
	w.quiet()
	w.post("ops:3")
	w.quiet()
	w.delivered(l)
	w.letter("ops:2", long)
	w.quiet()
}

func channelsTakeTurns(w *world) {
	w.post("a:1", "a:2")
	w.until("the clock goes on", func() bool { return w.clock() })
	w.post("b:1", "b:2")
	w.until("the clock goes on", func() bool { return w.clock() })
	first := w.letter("a:1", long)
	w.delivered(first)
	second := w.letter("b:1", long)
	w.until("the clock goes on", func() bool { return w.clock() })
	w.delivered(second)
	w.letter("a:2", long)
	w.letter("b:2", long)
	w.quiet()
}

// clock waits for the next millisecond.
func (w *world) clock() bool {
	time.Sleep(2 * time.Millisecond)
	return true
}

func letterIsGivenAsItWasWritten(w *world) {
	const body = `{"a":[],"n":12345678901234567890,"s":"two\nlines, ünïcode, <b>"}`
	cursor, start := "1-0", time.Now()
	w.feed(queue.Feed{Upto: cursor, Letters: []queue.Letter{
		{Channel: "slack: ops [*?] ü", Body: json.RawMessage(body)},
		{ID: "9-1/status", Channel: "x:y", Body: json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`)},
	}}, true)
	for range 2 {
		l, ok, err := w.q.TakeLetter(w.ctx, long)
		w.must(err)
		w.is("a letter", ok, true)
		w.is("tries and doubt", fmt.Sprint(l.Tries, l.Unsure), "0 false")
		if age := l.Created.Sub(start); age < -time.Second || age > time.Minute {
			w.fail("it was created at %s", l.Created)
		}
		w.is("its lease ends", l.Until.After(start.Add(long-time.Second)), true)
		if l.Channel == "x:y" {
			w.is("id", l.ID, "9-1/status")
			w.is("length", len(l.Body), 100_002)
		} else {
			w.is("channel", l.Channel, "slack: ops [*?] ü")
			w.is("body", string(l.Body), body)
			w.is("it has an id", l.ID != "", true)
		}
	}
}

// Broken when: a sender that was killed keeps its channel, or what it may have sent is sent again blindly.
func deadSenderIsOutlivedAndTold(w *world) {
	w.post("ops:1", "ops:2")
	w.letter("ops:1", 20*time.Millisecond)
	l := w.later("ops:1", long)
	w.is("tries and doubt", fmt.Sprint(l.Tries, l.Unsure), "1 true")
	w.delivered(l)
	l = w.letter("ops:2", long)
	w.is("tries and doubt of the next", fmt.Sprint(l.Tries, l.Unsure), "0 false")
}

// Broken when: a sender that was slow takes off, or puts off, what another one is sending.
func staleSenderEndsNobodysLetter(w *world) {
	w.post("ops:1", "ops:2")
	stale := w.letter("ops:1", time.Millisecond)
	l := w.later("ops:1", long)
	w.lost(w.q.LetterDone(w.ctx, stale))
	w.lost(w.q.LetterFailed(w.ctx, stale, queue.LetterFailure{Why: "late", Final: true}))
	w.quiet()
	w.delivered(l)
	w.lost(w.q.LetterDone(w.ctx, stale))
	w.lost(w.q.LetterDone(w.ctx, queue.Letter{Channel: "ops"}))
	l = w.letter("ops:2", time.Millisecond)
	w.until("the lease is over", func() bool { return time.Now().After(l.Until.Add(5 * time.Millisecond)) })
	w.delivered(l) // nobody else has it
	w.letters(0)
}
