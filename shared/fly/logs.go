package fly

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// say writes a line for people, without anybody's secrets. What the writer says is not our trouble.
func (ch *Change) say(line string) {
	ch.outMu.Lock()
	defer ch.outMu.Unlock()
	if ch.Output != nil {
		_, _ = fmt.Fprintln(ch.Output, ch.client.secrets.clean(line))
	}
}

// tail follows the logs of one machine.
type tail struct {
	ch *Change
	id string
	// next is Fly's token for what comes next.
	next string
	// kept are the last lines, cleaned; seen the entries that were written.
	kept []string
	seen map[string]bool
	// closed says why there is nothing more to be had.
	closed string
}

// entry is a line of a log.
type entry struct {
	ID         string `json:"id"`
	Attributes struct {
		Message   string `json:"message"`
		Timestamp string `json:"timestamp"`
		Instance  string `json:"instance"`
	} `json:"attributes"`
}

// more reads what is new and writes it to the change's output. It reports whether there was
// something. Logs that cannot be read are no failure: a token may not allow it.
func (t *tail) more(ctx context.Context) bool {
	if t.closed != "" {
		return false
	}
	c := t.ch.client
	var said struct {
		Data []entry `json:"data"`
		Meta struct {
			Next string `json:"next_token"`
		} `json:"meta"`
	}
	query := url.Values{"instance": {t.id}, "next_token": {t.next}}
	err := c.rest.send(ctx, request{
		method: http.MethodGet, url: c.rest.api + "/api/v1/apps/" + t.ch.app + "/logs?" + query.Encode(),
		authorization: c.rest.tokens.BubblegumHeader(), out: &said,
	})
	if err != nil {
		if f := fateOf(ctx, err); f == forbidden || f == missing || f == invalid {
			t.closed = c.sentence(err)
			t.ch.say(fmt.Sprintf("the logs of machine %s cannot be read: %s", t.id, t.closed))
		}
		return false
	}
	if said.Meta.Next != "" {
		t.next = said.Meta.Next
	}
	fresh := false
	for _, e := range said.Data {
		fresh = t.write(e) || fresh
	}
	return fresh
}

// write writes an entry, unless it was written before: without a new token Fly gives the old ones again.
func (t *tail) write(e entry) bool {
	key := e.ID + e.Attributes.Timestamp + e.Attributes.Message
	if t.seen[key] || e.Attributes.Instance != "" && e.Attributes.Instance != t.id {
		return false
	}
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	t.seen[key] = true
	for _, line := range strings.Split(strings.TrimRight(e.Attributes.Message, "\n"), "\n") {
		t.ch.say(line)
		t.kept = append(t.kept, t.ch.client.clean(line))
	}
	t.kept = t.kept[max(0, len(t.kept)-lastLines):]
	return true
}

// last reads to the end of the logs, which come late: until twice in a row there is nothing new, for as long as
// things may stay out of sight. The error is ctx's.
func (t *tail) last(ctx context.Context) error {
	c, quiet := t.ch.client, 0
	for end := c.options.Now().Add(c.options.Lag); quiet < 2 && t.closed == "" && c.options.Now().Before(end); {
		quiet++
		if t.more(ctx) {
			quiet = 0
		}
		if err := sleep(ctx, c.options.Poll); err != nil {
			return fmt.Errorf("read the logs of machine %s: %w", t.id, err)
		}
	}
	return nil
}

// quote gives the last lines for an error.
func (t *tail) quote() string {
	if len(t.kept) == 0 {
		return ""
	}
	return "; it said last:\n  " + strings.Join(t.kept, "\n  ")
}
