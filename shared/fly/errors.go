package fly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/job"
)

// What callers tell apart, with errors.Is. All but ErrRefused may be tried again.
var (
	// ErrLeased says that somebody else is changing the app and did not finish in time.
	ErrLeased = errors.New("changed by somebody else")
	// ErrUntrusted says that a write was not started, or a proof not believed, because the hold
	// on the app is lost or too short.
	ErrUntrusted = errors.New("no longer trusted")
	// ErrCapacity says that Fly has no room for the machine where it should run.
	ErrCapacity = errors.New("no capacity")
	// ErrUnproven says that the app does not run as it should: invariant 8.
	ErrUnproven = errors.New("not proven")
	// ErrRefused says that the token may not do this, or that the name is somebody else's. It
	// comes with job.ErrRejected.
	ErrRefused = errors.New("refused")
)

// problem is an error for people: a sentence, and what errors.Is finds under it.
type problem struct {
	text string
	is   []error
}

func (p *problem) Error() string   { return p.text }
func (p *problem) Unwrap() []error { return p.is }

func reject(kind error, text string) error {
	is := []error{job.ErrRejected}
	if kind != nil {
		is = append(is, kind)
	}
	return &problem{text, is}
}

// fate is what an answer means for the one who asked.
type fate int

const (
	// unknown: it may have happened. Look, then try again.
	unknown fate = iota
	// again: it did not happen, and soon may.
	again
	// missing: the thing, or its app, is not there (yet).
	missing
	// taken: a name or a thing is in somebody's hands.
	taken
	// leased: somebody else has the lease.
	leased
	// stale: current_version was not the current one.
	stale
	// full: there is no capacity.
	full
	// forbidden: not with this token.
	forbidden
	// invalid: never in this form.
	invalid
	// over: the caller's own context ended.
	over
)

// fateOf reads an error of a call that was made with ctx.
func fateOf(ctx context.Context, err error) fate {
	if ctx.Err() != nil {
		return over
	}
	status, body := answerOf(err)
	text := strings.ToLower(string(body))
	switch {
	case isFull(text):
		return full
	case strings.Contains(text, "lease currently held"), status == http.StatusConflict && strings.Contains(text, "lease"):
		return leased
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return forbidden
	case http.StatusNotFound:
		return missing
	case http.StatusConflict:
		return taken
	case http.StatusTooManyRequests:
		return again
	case http.StatusPreconditionFailed:
		return preconditionOf(text)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return validityOf(text)
	}
	return unknown
}

func isFull(text string) bool {
	for _, sign := range []string{
		"insufficient_capacity", "insufficient resources", "could not reserve resource",
		"deploys to this host are temporarily disabled",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// preconditionOf reads a 412, which means several things.
func preconditionOf(text string) fate {
	if !strings.Contains(text, "secret") && strings.Contains(text, "version") {
		return stale
	}
	return again
}

// validityOf reads a 400 or 422. A registry that does not yet show an image that was just pushed is
// no fault of the request's.
func validityOf(text string) fate {
	switch {
	case strings.Contains(text, "manifest unknown"), strings.Contains(text, "manifest_unknown"):
		return again
	case isTaken(text), strings.Contains(text, "already exists"), strings.Contains(text, "already in use"):
		return taken
	}
	return invalid
}

func isTaken(text string) bool {
	return strings.Contains(text, "already been taken") || strings.Contains(text, "name_taken") ||
		strings.Contains(text, "unavailable for creation") // a bucket's
}

// nameTaken reports whether Fly said that the name of an app or an add-on is taken.
func nameTaken(err error) bool {
	_, body := answerOf(err)
	return isTaken(strings.ToLower(string(body)))
}

// answerOf gives the status and body that err is about; 0 where there was no answer.
func answerOf(err error) (int, []byte) {
	var fe *flaps.FlapsError
	if errors.As(err, &fe) {
		return fe.ResponseStatusCode, fe.ResponseBody
	}
	var bg *badGateway
	if errors.As(err, &bg) {
		return bg.status, bg.body
	}
	return 0, nil
}

func statusOf(err error) int {
	status, _ := answerOf(err)
	return status
}

// explain makes an error for people of an error of fly-go. What was asked is told by op.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	var told *problem
	if errors.As(err, &told) {
		return err
	}
	said := c.sentence(err)
	switch fateOf(ctx, err) {
	case over:
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case forbidden:
		if statusOf(err) == http.StatusUnauthorized {
			return reject(ErrRefused, op+": Fly does not accept the token (401): make a new one (`fly tokens create deploy` or `fly auth login`) and set FLY_API_TOKEN")
		}
		return reject(ErrRefused, op+": the token may not do this, or the app belongs to somebody else (403): "+said)
	case invalid:
		return reject(nil, op+": Fly refuses it: "+said)
	case full:
		return &problem{op + ": Fly has no room there now: " + said, []error{ErrCapacity}}
	case leased:
		return &problem{op + ": somebody else is changing the app: " + said, []error{ErrLeased}}
	case unknown, again, missing, taken, stale:
	}
	return &problem{op + ": " + said, nil}
}

// sentence gives what Fly, or the connection, said: short, on one line, and without our tokens.
func (c *Client) sentence(err error) string {
	status, body := answerOf(err)
	if status == 0 {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		return "Fly did not answer: " + c.clean(err.Error())
	}
	var said struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	text := string(body)
	if json.Unmarshal(body, &said) == nil && said.Message+said.Error != "" {
		text = said.Error
		if said.Message != "" {
			text = said.Message
		}
	}
	if text = c.clean(text); text == "" {
		text = http.StatusText(status)
	}
	return fmt.Sprintf("%s (%d)", text, status)
}

func (c *Client) clean(s string) string {
	s = strings.Join(strings.Fields(c.secrets.clean(s)), " ")
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
