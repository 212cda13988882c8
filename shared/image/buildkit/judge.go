package buildkit

import (
	"context"
	"time"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

// failure is what is known of a build that did not end well.
type failure struct {
	name  string
	limit time.Duration
	err   error
	// seen and box are nil where the build did not begin.
	seen *progress
	box  *sandbox.Sandbox
}

func (b *Builder) judge(ctx context.Context, f failure) error { return f.err }

func cancelled(text string) bool { return false }
