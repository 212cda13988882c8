package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

func openQueue(t *testing.T) *queue.Queue {
	t.Helper()
	q, err := queue.Open(queuetest.Embedded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func TestLinesReachRedisInOrder(t *testing.T) {
	q := openQueue(t)
	id := job.SaltedID(job.Deploy, "a", "1")
	var out bytes.Buffer
	l := &logbook{to: q, id: id, redact: manifest.NewRedactor("hunter22"), out: &out}
	l.open(t.Context())
	var want []string
	for i := range 120 {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	for _, piece := range []string{strings.Join(want, "\n") + "\n", "split ", "line\nthe password is hun", "ter22\r\n", "\xff bytes\n", "\x1b[2Jred\x1b[0m\n", "no newline"} {
		if _, err := io.WriteString(l, piece); err != nil {
			t.Fatal(err)
		}
	}
	l.close(t.Context())
	want = append(want, "split line", "the password is [secret]", "� bytes", "red", "no newline")
	lines, err := q.Tail(t.Context(), id, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		got = append(got, line.Text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("redis has %q", got[max(0, len(got)-5):])
	}
	if strings.Contains(out.String(), "hunter22") || strings.Count(out.String(), "\n") != len(want) {
		t.Errorf("the runner's own output has %d lines", strings.Count(out.String(), "\n"))
	}
}

// deaf is Redis while it does not answer.
type deaf struct {
	mu    sync.Mutex
	until int
	lines []string
}

func (d *deaf) Append(_ context.Context, _ job.ID, lines []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until--; d.until >= 0 {
		return errors.New("no answer")
	}
	d.lines = append(d.lines, lines...)
	return nil
}

func TestLogWaitsForRedisWithinBounds(t *testing.T) {
	d := &deaf{until: 1 << 30}
	l := &logbook{to: d, out: io.Discard}
	l.open(t.Context())
	for i := range keptLines + 500 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	d.mu.Lock()
	d.until = 0
	d.mu.Unlock()
	l.close(t.Context())
	if n := len(d.lines); n < keptLines || n > keptLines+batchLines || d.lines[0] != "line 0" || !strings.Contains(strings.Join(d.lines, "\n"), "lines were lost") {
		t.Errorf("%d lines were kept, want about %d, the first ones, and a word on the rest", n, keptLines)
	}
}

// chatty is Redis that does not answer while the job says much.
type chatty struct{ book *logbook }

func (c chatty) Append(context.Context, job.ID, []string) error {
	for range keptLines {
		fmt.Fprintln(c.book, "meanwhile")
	}
	return errors.New("no answer")
}

// Broken when: what is said while Redis does not answer is kept beyond the bound, a batch for each try.
func TestLongOutageKeepsTheLogWithinBounds(t *testing.T) {
	l := &logbook{out: io.Discard}
	l.to = chatty{l}
	fmt.Fprintln(l, "first")
	for range 3 {
		l.flush(t.Context())
		if len(l.lines) != keptLines || l.lines[0] != "first" {
			t.Fatalf("%d lines are kept from %q on, want the first %d", len(l.lines), l.lines[0], keptLines)
		}
	}
	d := &deaf{}
	l.to = d
	l.flush(t.Context())
	if got, want := d.lines[len(d.lines)-1], fmt.Sprintf("(%d lines were lost while Redis did not answer)", 2*keptLines+1); got != want {
		t.Errorf("%d lines, the last is %q, want %q", len(d.lines), got, want)
	}
}

// Broken when: a line that is cut in a secret shows its halves.
func TestCutLineTellsNoSecret(t *testing.T) {
	const value = "0123456789-secret-9876543210"
	for at := longLine - len(value) - 40; at < longLine+40; at++ {
		var out bytes.Buffer
		l := &logbook{to: &deaf{}, redact: manifest.NewRedactor(value, "hunter22"), out: &out}
		text := strings.Repeat("a", at) + value + strings.Repeat("b", longLine)
		for len(text) > 0 {
			n := min(len(text), 1000)
			if _, err := io.WriteString(l, text[:n]); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
		}
		if _, err := io.WriteString(l, "\n"); err != nil {
			t.Fatal(err)
		}
		whole := strings.ReplaceAll(out.String(), "\n", "")
		if want := strings.Repeat("a", at) + "[secret]" + strings.Repeat("b", longLine); whole != want {
			t.Fatalf("with a secret at %d the log has %d characters, want %d: %.100q", at, len(whole), len(want), strings.Trim(whole, "ab"))
		}
	}
}

func TestNextIsAskedWithTheToken(t *testing.T) {
	var asked []string
	fail := 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		if fail--; fail >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	if err := (Next{URL: s.URL + "/next", Token: "t"}).Ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "POST /next Bearer t"; len(asked) != 2 || asked[0] != want || asked[1] != want {
		t.Errorf("asked %q, want twice %q: the dispatcher may have been asleep", asked, want)
	}
	fail = 0
	refused := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refused.Close()
	if err := (Next{URL: refused.URL}).Ask(t.Context()); err == nil {
		t.Error("a refusal is no error")
	}
	if err := (Next{}).Ask(t.Context()); err != nil {
		t.Errorf("nobody to ask: %v", err)
	}
}

func TestHoldEndsWithTheClaim(t *testing.T) {
	q := openQueue(t)
	q.Times.Hold, q.Times.Margin = 300*time.Millisecond, 10*time.Millisecond
	j := job.Job{ID: job.SaltedID(job.Deploy, "a", "1"), Kind: job.Deploy, App: "a", Order: job.Order{Time: 1}}
	if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		t.Fatal(err)
	}
	l, _, err := q.Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := q.Claim(t.Context(), j.ID, l.Attempt, "m")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	h := &hold{queue: q, claim: c, every: 20 * time.Millisecond, end: end, log: slog.New(slog.DiscardHandler)}
	h.open(ctx)
	defer h.close()
	first := h.TrustedUntil()
	for h.TrustedUntil().Equal(first) {
		time.Sleep(time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Fatalf("ended although the claim stands: %v", context.Cause(ctx))
	}
	if _, err := q.GiveBack(t.Context(), c, queue.GiveBack{Failed: true}); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), errLost) || !h.TrustedUntil().IsZero() {
		t.Errorf("ended by %v, trusted until %v", context.Cause(ctx), h.TrustedUntil())
	}
}

func TestCancelledJobEnds(t *testing.T) {
	q := openQueue(t)
	j := job.Job{ID: job.SaltedID(job.Deploy, "a", "1"), Kind: job.Deploy, App: "a", Order: job.Order{Time: 1}}
	if _, _, err := q.Push(t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		t.Fatal(err)
	}
	l, _, err := q.Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := q.Claim(t.Context(), j.ID, l.Attempt, "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Cancel(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(t.Context())
	h := &hold{queue: q, claim: c, every: 5 * time.Millisecond, end: end, log: slog.New(slog.DiscardHandler)}
	h.open(ctx)
	<-ctx.Done()
	h.close()
	r := &Runner{Queue: q, Job: j.ID}
	if again, err := r.failed(ctx, c, context.Cause(ctx), time.Now().Add(time.Hour)); again || err != nil {
		t.Fatalf("again %t, %v", again, err)
	}
	if rec, err := q.Job(t.Context(), j.ID); err != nil || rec.State != string(job.Cancelled) {
		t.Errorf("state %s, %v; want cancelled", rec.State, err)
	}
}

// Broken when: a job that prints long lines without end fills Redis.
func TestFullLogKeepsBeginningsOfLines(t *testing.T) {
	d := &deaf{}
	l := &logbook{to: d, out: io.Discard}
	for range 3 * fullLog / longLine {
		fmt.Fprintln(l, strings.Repeat("é", longLine/2-1))
		l.flush(t.Context())
	}
	fmt.Fprintln(l, "the end")
	l.flush(t.Context())
	size := 0
	for _, line := range d.lines {
		size += len(line)
	}
	if last := d.lines[len(d.lines)-1]; size < fullLog || size > fullLog+fullLog/10 || last != "the end" {
		t.Errorf("%d bytes are kept, want about %d; the last line is %q", size, fullLog, last)
	}
	if short := d.lines[len(d.lines)-2]; short != strings.Repeat("é", shortLine/2)+"…" {
		t.Errorf("a further line is %d bytes long", len(short))
	}
}

func TestLongDetailKeepsBeginningAndEnd(t *testing.T) {
	if text := strings.Repeat("é", longDetail/2); shortened(text) != text {
		t.Error("a detail that fits is shortened")
	}
	got := shortened("the beginning" + strings.Repeat("é", longDetail) + "the end")
	if len(got) > longDetail+len("\n…\n") || !strings.HasPrefix(got, "the beginning") || !strings.HasSuffix(got, "the end") || !utf8.ValidString(got) {
		t.Errorf("a long detail is told in %d bytes: %s…%s", len(got), got[:20], got[len(got)-20:])
	}
}
