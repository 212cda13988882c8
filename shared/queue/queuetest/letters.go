package queuetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/queue"
)

func letterLaws() []Law {
	return []Law{
		{"FailedLetterStaysFirst", failedLetterStaysFirst},
		{"BackoffOfAChannelDoubles", backoffOfAChannelDoubles},
		{"DestinationSaysHowLongToWait", destinationSaysHowLongToWait},
		{"FailingChannelKeepsNobodyBack", failingChannelKeepsNobodyBack},
		{"DoubtAboutALetterStays", doubtAboutALetterStays},
		{"RefusedLetterIsGivenUp", refusedLetterIsGivenUp},
		{"TriesOfALetterAreLimited", triesOfALetterAreLimited},
		{"OldLetterIsGivenUpWhenItFails", oldLetterIsGivenUpWhenItFails},
		{"LetterWhoseSendersDieIsGivenUp", letterWhoseSendersDieIsGivenUp},
		{"ChannelIsBounded", channelIsBounded},
		{"OutboxIsBounded", outboxIsBounded},
		{"LetterBeingSentIsNotOvertaken", letterBeingSentIsNotOvertaken},
		{"BadLetterKeepsNobodyBack", badLetterKeepsNobodyBack},
		{"NextLetterIsTold", nextLetterIsTold},
	}
}

func failedLetterStaysFirst(w *world) {
	down := queue.LetterFailure{Why: "it was down"}
	w.post("other:1", "other:2")
	w.undelivered(w.letter("other:1", long), down)
	w.quiet()
	w.post("other:3")
	w.quiet()
	w.q.Times.Outbox.Backoff = time.Millisecond
	w.post("ops:1", "ops:2", "ops:3")
	w.undelivered(w.letter("ops:1", long), down)
	l := w.later("ops:1", long)
	w.is("tries and doubt", fmt.Sprint(l.Tries, l.Unsure), "1 false")
	w.delivered(l)
	w.delivered(w.letter("ops:2", long))
	w.delivered(w.letter("ops:3", long))
	w.givenUp("", "")
}

// wait says how long the only channel waits.
func (w *world) wait() time.Duration {
	next, _, err := w.q.LettersDue(w.ctx)
	w.must(err)
	return time.Until(next)
}

func backoffOfAChannelDoubles(w *world) {
	b := &w.q.Times.Outbox
	b.Tries = 2
	w.post("ops:1", "ops:2", "ops:3")
	down := queue.LetterFailure{Why: "it was down"}
	for i, n := range []string{"ops:1", "ops:1", "ops:2"} {
		l := w.later(n, long)
		b.Backoff, b.MaxBackoff = 10*time.Second, time.Hour
		want := b.Backoff << i
		if i < 2 {
			// what is measured elsewhere need not be waited for
			b.Backoff, b.MaxBackoff = 20*time.Millisecond, 25*time.Millisecond
			want = min(b.Backoff<<i, b.MaxBackoff)
		}
		w.undelivered(l, down)
		if got := w.wait(); got > want || got < want-15*time.Second {
			w.fail("it waits for %s after %d failures, want %s", got, i+1, want)
		}
	}
	w.givenUp("ops:1", "it was down")
}

func destinationSaysHowLongToWait(w *world) {
	w.post("ops:1")
	w.undelivered(w.letter("ops:1", long), queue.LetterFailure{Why: "too many requests", After: 5 * time.Minute})
	if got := w.wait(); got < 4*time.Minute || got > 5*time.Minute {
		w.fail("it waits for %s", got)
	}
	w.quiet()
}

// Broken when: a destination that is down keeps what others are told.
func failingChannelKeepsNobodyBack(w *world) {
	w.post("down:1", "down:2", "up:1", "up:2")
	for range 3 {
		l, ok, err := w.q.TakeLetter(w.ctx, long)
		w.must(err)
		w.is("a letter", ok, true)
		if l.Channel == "down" {
			w.undelivered(l, queue.LetterFailure{Why: "it was down"})
		} else {
			w.delivered(l)
		}
	}
	w.quiet()
	w.letters(2)
}

// Broken when: a letter that may have arrived is sent blindly since it failed otherwise after that.
func doubtAboutALetterStays(w *world) {
	w.q.Times.Outbox.Backoff, w.q.Times.Outbox.MaxBackoff = time.Millisecond, time.Millisecond
	w.post("ops:1", "ops:2")
	w.undelivered(w.letter("ops:1", long), queue.LetterFailure{Why: "the answer was lost", Unsure: true})
	l := w.later("ops:1", long)
	w.is("doubt", l.Unsure, true)
	w.undelivered(l, queue.LetterFailure{Why: "it was down"})
	l = w.later("ops:1", long)
	w.is("doubt after another failure", l.Unsure, true)
	w.delivered(l)
	w.is("doubt about the next", w.letter("ops:2", long).Unsure, false)
}

func refusedLetterIsGivenUp(w *world) {
	w.post("ops:1", "ops:2")
	w.undelivered(w.letter("ops:1", long), queue.LetterFailure{Why: "no such commit", Final: true})
	w.givenUp("ops:1", "no such commit")
	l := w.letter("ops:2", long)
	w.is("tries", l.Tries, 0)
	w.delivered(l)
	w.letters(0)
}

func triesOfALetterAreLimited(w *world) {
	w.q.Times.Outbox.Backoff, w.q.Times.Outbox.MaxBackoff, w.q.Times.Outbox.Tries = time.Millisecond, time.Millisecond, 3
	w.post("ops:1", "ops:2")
	for i := range 3 {
		l := w.later("ops:1", long)
		w.is("tries", l.Tries, i)
		w.undelivered(l, queue.LetterFailure{Why: "it was down"})
	}
	w.givenUp("ops:1", "it was down")
	w.later("ops:2", long)
}

func oldLetterIsGivenUpWhenItFails(w *world) {
	b := &w.q.Times.Outbox
	b.Age, b.Backoff = time.Hour, time.Hour+time.Second
	w.post("ops:1", "ops:2")
	w.undelivered(w.letter("ops:1", long), queue.LetterFailure{Why: "it was down", After: time.Millisecond})
	l := w.later("ops:1", long)
	w.undelivered(l, queue.LetterFailure{Why: "it was down still"})
	w.givenUp("ops:1", "down still")
	w.quiet() // the channel is down for the next letter as well
	w.letters(1)
}

// Broken when: a letter that kills whoever sends it is sent for ever.
func letterWhoseSendersDieIsGivenUp(w *world) {
	w.q.Times.Outbox.Tries = 2
	w.post("ops:1", "ops:2")
	w.letter("ops:1", time.Millisecond)
	w.later("ops:1", time.Millisecond)
	l := w.later("ops:2", long)
	w.is("tries and doubt", fmt.Sprint(l.Tries, l.Unsure), "0 false")
	w.givenUp("ops:1", "died")
}

func channelIsBounded(w *world) {
	w.q.Times.Outbox.Channel = 2
	w.post("ops:1", "a:1", "ops:2", "ops:3")
	w.post("ops:4")
	w.letters(3)
	w.givenUp("ops:1 ops:2", "more than 2 letters waited for ops")
	w.delivered(w.later("a:1", long))
	w.delivered(w.later("ops:3", long))
	w.delivered(w.later("ops:4", long))
}

func outboxIsBounded(w *world) {
	w.q.Times.Outbox.All = 3
	w.post("a:1", "a:2", "b:1")
	w.clock()
	w.post("c:1", "c:2")
	w.letters(3)
	w.givenUp("a:1 b:1", "more than 3 letters waited")
	w.delivered(w.letter("a:2", long))
	w.delivered(w.letter("c:1", long))
	w.post("d:1", "d:2", "d:3", "d:4", "d:5")
	w.letters(3)
	w.delivered(w.letter("d:3", long))
	// one that is being sent counts, and is not dropped
	w.q.Times.Outbox.All = 2
	w.letter("d:4", long)
	w.clock()
	w.post("e:1", "e:2", "e:3")
	w.letters(2)
	w.delivered(w.letter("e:3", long))
}

// Broken when: a letter is dropped while it is sent, so that the next one is sent beside it.
func letterBeingSentIsNotOvertaken(w *world) {
	w.q.Times.Outbox.Channel, w.q.Times.Outbox.All = 2, 3
	w.post("ops:1", "ops:2")
	l := w.letter("ops:1", long)
	w.post("ops:3")
	w.clock()
	w.post("a:1", "a:2")
	w.givenUp("ops:2 ops:3", "more than 3 letters waited")
	w.delivered(w.letter("a:1", long))
	w.letter("a:2", long)
	w.quiet()
	w.delivered(l)
	w.letters(1)
	// one whose sender died may go
	w.q.Times.Outbox.Channel, w.q.Times.Outbox.All = 2, 100
	w.post("x:1", "x:2")
	dead := w.letter("x:1", time.Millisecond)
	w.until("its lease is over", func() bool { return time.Now().After(dead.Until.Add(5 * time.Millisecond)) })
	w.post("x:3")
	w.lost(w.q.LetterDone(w.ctx, dead))
	l = w.letter("x:2", long)
	w.is("tries and doubt", fmt.Sprint(l.Tries, l.Unsure), "0 false")
	w.lost(w.q.LetterDone(w.ctx, dead))
}

// Broken when: a letter that nobody can keep stops the feed, and with it all others.
func badLetterKeepsNobodyBack(w *world) {
	long := `"` + strings.Repeat("x", queue.MaxLetter) + `"`
	w.feed(queue.Feed{Upto: "1-0", Letters: []queue.Letter{
		{ID: "1", Channel: "big", Body: json.RawMessage(long)},
		{ID: "2", Channel: "text", Body: json.RawMessage("{")},
		{ID: "3", Channel: "none"},
		{ID: "4", Body: json.RawMessage("{}")},
		{ID: "5", Channel: strings.Repeat("é", 500), Body: json.RawMessage("{}")},
		written("ops:6"),
	}}, true)
	list, total, err := w.q.Undelivered(w.ctx, 100)
	w.must(err)
	w.is("given up", fmt.Sprint(len(list), total), "5 5")
	for i, part := range []string{"a channel's name", "a channel's name", "no JSON", "no JSON", fmt.Sprint(len(long))} {
		if !strings.Contains(list[i].Why, part) {
			w.fail("letter %s was given up for %q, want %q", list[i].Letter.ID, list[i].Why, part)
		}
	}
	w.delivered(w.letter("ops:6", time.Minute))
}

func nextLetterIsTold(w *world) {
	next, n, err := w.q.LettersDue(w.ctx)
	w.must(err)
	w.is("letters of an empty outbox", fmt.Sprint(n, next.IsZero()), "0 true")
	w.post("ops:1", "ops:2", "x:1")
	w.letters(3)
	w.is("due at once", w.wait() <= 0, true)
	w.letter("ops:1", time.Hour)
	l := w.letter("x:1", time.Minute)
	w.letters(3)
	if got := w.wait(); got < 50*time.Second || got > time.Minute {
		w.fail("it waits for %s, want the end of the next lease", got)
	}
	w.delivered(l)
	w.letters(2)
	if err := w.q.LetterDone(w.ctx, l); err != nil && !errors.Is(err, queue.ErrLost) {
		w.fail("done again gave %v", err)
	}
}
