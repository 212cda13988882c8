package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// calledWithin is how long the dispatcher may take: it may have to wake, and answers within five seconds then.
	calledWithin = 40 * time.Second
	// maxAnswer is more than it says of the most jobs that one call can make.
	maxAnswer = 16 << 20
)

// call has the dispatcher push the jobs of what is wanted.
func (c *cli) call(ctx context.Context, f askFlags, list []dispatcher.Ask) error {
	if f.wait {
		return usage(errors.New("--wait follows jobs in the queue: set REDIS_URL, or leave it out"))
	}
	if c.cfg.Call.Token == "" {
		return usage(errors.New("FLYCD_DISPATCH_TOKEN is not set: it is one of the tokens that the dispatcher has in FLYCD_DISPATCH_TOKENS"))
	}
	if err := checkCallURL(c.cfg.Call.URL); err != nil {
		return usage(err)
	}
	all := queue.Answer{Jobs: []queue.Pushed{}}
	for _, a := range list {
		answer, err := c.callOnce(ctx, a)
		if err != nil {
			return errors.Join(err, c.printPushed(all, f.output))
		}
		all.Jobs = append(all.Jobs, answer.Jobs...)
	}
	return c.printPushed(all, f.output)
}

// checkCallURL refuses addresses over which the token would travel in the open.
func checkCallURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("FLYCD_DISPATCH_URL: expected an address such as https://flycd-acme.fly.dev/dispatch")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Host) && !strings.HasSuffix(u.Hostname(), ".internal")) {
		return fmt.Errorf("FLYCD_DISPATCH_URL: the token travels to %s, so it must be https", u.Hostname())
	}
	return nil
}

func (c *cli) callOnce(ctx context.Context, a dispatcher.Ask) (answer queue.Answer, err error) {
	body, err := json.Marshal(a)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(ctx, calledWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Call.URL, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("call the dispatcher: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Call.Token)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return answer, fmt.Errorf("call the dispatcher: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer, fmt.Errorf("call the dispatcher: %w", err)
	}
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return answer, callError(res, text)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("call the dispatcher: what answers at FLYCD_DISPATCH_URL is no dispatcher: %w", err)
	}
	return answer, nil
}

// callError says what the dispatcher says, with the exit code that the command would have had by itself.
func callError(res *http.Response, text []byte) error {
	var said struct{ Error string }
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		said.Error = "it answered " + res.Status
	}
	err := fmt.Errorf("call the dispatcher: %s", said.Error)
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitError{exitRefused, err}
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusNotFound:
		return usage(err)
	}
	return err
}
