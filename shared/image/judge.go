package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// longestBuild is the most that a build may take where nothing else is said.
const longestBuild = 30 * time.Minute

// within bounds a build's time.
func within(ctx context.Context, req Request) (context.Context, context.CancelFunc) {
	limit := req.Timeout
	if limit <= 0 {
		limit = longestBuild
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s: see in its log where the time goes, or raise build.timeout", limit))
}

// judge decides whether another attempt may help: a builder or a registry that cannot be reached may be
// better next time, the user's own Dockerfile will not.
func judge(what string, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return fmt.Errorf("%s: %w", what, err)
	}
	text := strings.ToLower(lastError(f.last))
	step := strings.Contains(text, "did not complete successfully")
	switch {
	case step && (strings.Contains(text, "exit code: 137") || strings.Contains(text, "cannot allocate memory")):
		return job.Rejectf("%s: %s", what, f.told(f.where+"a step ran out of memory, or was killed: let it use less, or give the builder's machine more memory"))
	case strings.Contains(text, "no space left on device"), step && strings.Contains(strings.ToLower(f.last), "no space left on device"):
		return job.Rejectf("%s: %s", what, f.told("the builder's disk is full: remove what the builder keeps (buildctl prune), give it a larger disk, or build a smaller image"))
	case step:
		// whatever it printed: that it reached no host, too, may be its own fault
		return job.Rejectf("%s: %s", what, f.told(cmp.Or(f.sentence, "the build failed")))
	}
	if passes(text) {
		return fmt.Errorf("%s: %s", what, f.told(cmp.Or(f.sentence, "the builder, or what it needs, cannot be reached, and another attempt may help")))
	}
	return job.Rejectf("%s: %s", what, f.told(cmp.Or(f.sentence, "the build failed")))
}

// lastError is what BuildKit says in the end, without what it said of caches and steps before; all of the text where it
// says nothing in the end.
func lastError(text string) string {
	if at := strings.LastIndex(text, "error: failed to solve:"); at >= 0 {
		return text[at:]
	}
	return text
}

// passes tells a failure that may be gone next time by its words.
func passes(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(passing(), func(sign string) bool { return strings.Contains(text, sign) })
}

// passing are the marks of failures that are not the Dockerfile's.
func passing() []string {
	return []string{
		"connection refused", "connection reset", "no such host", "i/o timeout", "tls handshake timeout",
		"context deadline exceeded", "code = unavailable", "error: listing workers", "failed to list workers",
		"temporary failure in name resolution", "unexpected eof", "broken pipe",
		"too many requests", "toomanyrequests", "500 internal server error", "502 bad gateway", "503 service unavailable",
		"504 gateway timeout", "network is unreachable", "no route to host", "waiting for remote builder",
	}
}
