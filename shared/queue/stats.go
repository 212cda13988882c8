package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Stats counts what there is to do.
type Stats struct {
	// Waiting counts stream entries of both streams that nobody was given yet.
	Waiting int64 `json:"waiting"`
	Active  int64 `json:"active"`
	Delayed int64 `json:"delayed"`
	Dead    int64 `json:"dead"`
	// Policy is the server's maxmemory-policy where it tells; anything but noeviction may lose jobs.
	Policy string `json:"policy,omitempty"`
}

// Stats counts what there is to do.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	p := q.rdb.Pipeline()
	high, low := p.XLen(ctx, q.prefix+"jobs"), p.XLen(ctx, q.prefix+"jobs:low")
	active, delayed := p.ZCard(ctx, q.prefix+"active"), p.ZCard(ctx, q.prefix+"delayed")
	dead := p.XLen(ctx, q.prefix+"dead")
	_, err := p.Exec(ctx)
	if err != nil {
		return Stats{}, fmt.Errorf("count jobs: %w", err)
	}
	s := Stats{Active: active.Val(), Delayed: delayed.Val(), Dead: dead.Val()}
	// An entry stays in its stream until its job ended.
	s.Waiting = max(high.Val()+low.Val()-s.Active, 0)
	if s.Policy, err = q.policy(ctx); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Stats{}, err
	}
	return s, nil
}

// policy asks for the server's maxmemory-policy. Hosted servers may not tell their configuration, and a role's user
// may not ask for it, as passwords are in it.
func (q *Queue) policy(ctx context.Context) (string, error) {
	config, err := q.rdb.ConfigGet(ctx, "maxmemory-policy").Result()
	if err == nil {
		return config["maxmemory-policy"], nil
	}
	info, err := q.rdb.Info(ctx, "memory").Result()
	_, after, _ := strings.Cut(info, "maxmemory_policy:")
	policy, _, _ := strings.Cut(after, "\r\n")
	return policy, err
}
