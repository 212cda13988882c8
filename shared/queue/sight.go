package queue

import (
	"context"
	"fmt"
)

// Saw notes what a tree looked like when a sync of it was done to its end, in words of the caller's, and that it was
// found so at an order: an older push that comes later does not take it back. It reports false where the
// generation is not the tree's current one, or a newer sync has been there. Safe to repeat.
func (q *Queue) Saw(ctx context.Context, s Switch, sight string) (bool, error) {
	n, err := q.run(ctx, "saw.lua", s.Config.ID(), s.Generation, s.Commit, s.Order.Time, s.Order.Before, s.Order.After, s.Fence, sight).Int()
	if err != nil {
		return false, fmt.Errorf("note what %s looks like: %w", s.Config.ID(), err)
	}
	return n == 1, nil
}

// Seen gives what Saw noted last and the generation that it belongs to; nothing where that is not the current one
// any more.
func (q *Queue) Seen(ctx context.Context, configID string) (sight string, gen int64, err error) {
	if err := q.check(ctx); err != nil {
		return "", 0, err
	}
	m, err := q.rdb.HMGet(ctx, q.key("config", configID), "generation", "sight_generation", "sight").Result()
	if err != nil {
		return "", 0, fmt.Errorf("read what %s looked like: %w", configID, err)
	}
	if str(m[0]) == "" || str(m[0]) != str(m[1]) {
		return "", 0, nil
	}
	return str(m[2]), integer(m[0]), nil
}
