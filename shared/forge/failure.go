package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/job"
)

// ErrDenied marks a refusal that a person can mend: the token is not valid, may not do that, or does not see the
// repository. (GitHub answers 404 for what a token may not see.)
var ErrDenied = errors.New("the forge refuses")

// Failure is an answer other than the one that was hoped for. It wraps ErrDenied where rights are missing, and
// job.ErrRejected where trying again cannot help. Its text holds neither an address nor a token.
type Failure struct {
	// Op says what was tried: a verb and its object.
	Op string
	// Status is the HTTP status; zero where there was no answer, or none is known.
	Status int
	// Why is a sentence, in one line.
	Why string
	// After is how long the other side asks to be left alone; zero where it does not say.
	After time.Duration

	cause error
}

func (f *Failure) Error() string {
	if f.Status != 0 {
		return fmt.Sprintf("%s: answered %d: %s", f.Op, f.Status, f.Why)
	}
	return f.Op + ": " + f.Why
}

func (f *Failure) Unwrap() error { return f.cause }

// failure judges what go-github returned. Whatever the forge says is one line of bounded length.
func (c *Client) failure(err error, op string, args ...any) error {
	if err == nil {
		return nil
	}
	f := &Failure{Op: fmt.Sprintf(op, args...)}
	var limit *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var answer *github.ErrorResponse
	switch {
	case errors.As(err, &limit):
		f.Status, f.Why = http.StatusForbidden, "the hour's number of requests is spent"
		f.After = max(limit.Rate.Reset.Sub(c.now()), time.Second)
	case errors.As(err, &abuse):
		f.Status, f.Why, f.After = http.StatusForbidden, "too many requests at once", time.Minute
		if abuse.RetryAfter != nil {
			f.After = max(*abuse.RetryAfter, time.Second)
		}
	case errors.As(err, &answer) && answer.Response != nil:
		f.judge(answer, c.now())
	default:
		var own *Failure
		if errors.As(err, &own) || errors.Is(err, ErrDenied) {
			return fmt.Errorf("%s: %w", f.Op, plain(err))
		}
		f.Why, f.cause = oneLine(plain(err).Error(), 200), cancelled(err)
	}
	return f
}

// judge says what an answer means and what can be done.
func (f *Failure) judge(answer *github.ErrorResponse, now time.Time) {
	f.Status = answer.Response.StatusCode
	f.After = retryAfter(answer.Response.Header, now)
	said := oneLine(told(answer), 300)
	switch f.Status {
	case http.StatusUnauthorized:
		f.Why, f.cause = said+": the token is not valid any more: set another one", ErrDenied
	case http.StatusForbidden:
		f.Why, f.cause = said+": the token may not do that", ErrDenied
		if f.After > 0 {
			f.Why, f.cause = said, nil
		}
	case http.StatusNotFound:
		f.Why, f.cause = said+": it is not there, or the token does not see it", ErrDenied
	case http.StatusBadRequest, http.StatusConflict, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		f.Why, f.cause = said, job.ErrRejected
	default:
		f.Why = said
	}
}

// told is the forge's message with what it says of single fields.
func told(answer *github.ErrorResponse) string {
	parts := []string{answer.Message}
	if answer.Message == "" {
		parts[0] = http.StatusText(answer.Response.StatusCode)
	}
	for _, e := range answer.Errors {
		switch {
		case e.Message != "":
			parts = append(parts, e.Message)
		case e.Field != "":
			parts = append(parts, e.Field+" "+e.Code)
		}
	}
	return strings.Join(parts, ": ")
}

// retryAfter reads Retry-After, in seconds or as a date, and the reset of a limit that is spent.
func retryAfter(h http.Header, now time.Time) time.Duration {
	after := h.Get("Retry-After")
	if n, err := strconv.ParseInt(after, 10, 32); err == nil {
		return max(time.Duration(n)*time.Second, 0)
	}
	if t, err := http.ParseTime(after); err == nil {
		return max(t.Sub(now), 0)
	}
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0
	}
	n, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0
	}
	return max(time.Unix(n, 0).Sub(now), 0)
}

// plain takes the address out of an error of net/http, in which a secret may stand.
func plain(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// cancelled keeps what a caller looks for.
func cancelled(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// status is the HTTP status of a failure; zero for anything else.
func status(err error) int {
	var f *Failure
	if errors.As(err, &f) {
		return f.Status
	}
	return 0
}
