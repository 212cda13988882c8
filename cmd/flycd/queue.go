package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/queue"
)

// withQueue opens the queue, sees that it answers, and closes it after do.
func (c *cli) withQueue(ctx context.Context, do func(*queue.Queue) error) error {
	if c.cfg.RedisURL == "" {
		return usage(errors.New("REDIS_URL is not set: expected the redis:// or rediss:// URL of FlyCD's queue"))
	}
	q, err := queue.Open(c.cfg.RedisURL, c.cfg.RedisPrefix)
	if err != nil {
		return usage(err)
	}
	ping, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := q.Ping(ping); err != nil {
		return errors.Join(fmt.Errorf("the queue at REDIS_URL does not answer: start it, or correct REDIS_URL: %w", err), q.Close())
	}
	return errors.Join(do(q), q.Close())
}

// age is a time as people say it: 5s, 3m, 2h, 4d.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func short(commit string) string {
	const shown = 7
	if len(commit) > shown {
		return commit[:shown]
	}
	if commit == "" {
		return "-"
	}
	return commit
}
