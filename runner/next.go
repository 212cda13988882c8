package runner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Next is where a finishing runner asks for the next launch.
type Next struct {
	// URL is the dispatcher's POST /next; empty asks nobody.
	URL string
	// Token is the bearer token, which can do nothing but this.
	Token string
	// HTTP sends the request; nil means http.DefaultClient.
	HTTP *http.Client
	// Wait bounds the request, which the dispatcher holds while something is due soon; zero means a
	// minute.
	Wait time.Duration
}

// nextTries is how often the dispatcher is asked: it may have been asleep.
const nextTries = 3

// Ask asks the dispatcher to launch what is due. It waits with the dispatcher for what is due
// within the minute. An error is for the log: the next webhook or sweep does what was missed.
func (n Next) Ask(ctx context.Context) error {
	if n.URL == "" {
		return nil
	}
	wait := n.Wait
	if wait == 0 {
		wait = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var err error
	for try := range nextTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return err
			case <-time.After(time.Duration(try) * time.Second):
			}
		}
		var again bool
		if again, err = n.ask(ctx); !again {
			return err
		}
	}
	return err
}

func (n Next) ask(ctx context.Context) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, nil)
	if err != nil {
		return false, fmt.Errorf("ask for the next launch: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+n.Token)
	client := n.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return true, fmt.Errorf("ask for the next launch: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode/100 == 5, fmt.Errorf("ask for the next launch: the dispatcher answers %s", resp.Status)
	}
	return false, nil
}
