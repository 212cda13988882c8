package queuetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/gigurra/flycd/shared/queue"
)

// Law is one rule of the queue.
type Law struct {
	Name string
	act  func(*world)
}

// Check holds a fresh queue against the law, and returns how it is broken. It changes q's Times.
func (l Law) Check(ctx context.Context, q *queue.Queue) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// A nil wish or an empty list is as broken as a wrong one.
			err = fmt.Errorf("%v", r)
			if b, ok := r.(broken); ok {
				err = b.err
			}
		}
	}()
	l.act(&world{ctx: ctx, q: q})
	return nil
}

// Laws are all rules of the suite.
func Laws() []Law {
	return slices.Concat(pushLaws(), orderLaws(), takeLaws(), needsLaws(), claimLaws(), enterLaws(), endLaws(), dueLaws(), sightLaws(), catalogLaws(), imageLaws(), turnLaws(), outboxLaws(), letterLaws(),
		suspendLaws(), delayLaws(), grantLaws(), goneLaws(), includeLaws(), seenLaws(), pullLaws())
}

// Run holds a server against every law. open gives a queue on an empty server, or with a prefix
// that nothing else has.
func Run(t *testing.T, open func(t *testing.T) *queue.Queue) {
	t.Helper()
	for _, l := range Laws() {
		t.Run(l.Name, func(t *testing.T) {
			t.Parallel()
			if err := l.Check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}
