package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	solver "github.com/moby/buildkit/solver/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/job"
)

// endsWithin bounds the wait for the sandbox's word on why the connection to buildkitd broke.
const endsWithin = 5 * time.Second

// failure is what is known of a build that did not end well.
type failure struct {
	name  string
	limit time.Duration
	err   error
	// seen and box are nil where the build did not begin.
	seen *progress
	box  *sandbox.Sandbox
}

// judge says what happened, and whether another attempt may help: the reasons that lie outside the build come first, as
// BuildKit knows only what they did to it.
func (f failure) judge(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return fmt.Errorf("build %s: %w: it was ended after %s; raise build.timeout, or make its steps shorter%s", f.name, cause, f.limit, f.last())
	case cause != nil:
		return fmt.Errorf("build %s: %w", f.name, cause)
	case errors.Is(f.err, job.ErrRejected), f.seen == nil:
		return fmt.Errorf("build %s: %w", f.name, f.err)
	}
	if err := f.ended(); err != nil {
		return err
	}
	st := f.seen.failing(f.err)
	switch ref, kind := st.about(); kind {
	case readsImage:
		return f.judgeImage(ref)
	case pullsImage:
		return fmt.Errorf("build %s: %s: %s", f.name, ref, f.message())
	case pushesImage:
		return fmt.Errorf("build %s: the image is built, and the registry does not take it: see that it can be reached, "+
			"and that FlyCD's login may push to this repository: %s", f.name, f.message())
	}
	// what a step ended with is its own, whatever words are in its command
	ended := errors.As(f.err, new(*gateway.ExitError))
	if code := status.Code(f.err); code == codes.Unavailable || code == codes.Internal || !ended && passing(f.message()) {
		return fmt.Errorf("build %s: %s%s", f.name, f.message(), f.source())
	}
	return job.Rejectf("build %s: %s", f.name, f.told(st))
}

// ended tells a failure that is the sandbox's: what ran out, or a buildkitd that is gone.
func (f failure) ended() error {
	if status.Code(f.err) == codes.Unavailable {
		select {
		case <-f.box.Done():
		case <-time.After(endsWithin):
		}
	}
	switch err := f.box.Err(); {
	case errors.Is(err, sandbox.ErrMemory), errors.Is(err, sandbox.ErrDisk):
		return job.Rejectf("build %s: %w%s", f.name, err, f.last())
	case err != nil:
		return fmt.Errorf("build %s: buildkitd is gone: %w%s", f.name, err, f.last())
	}
	return nil
}

// judgeImage judges an image that could not be read by what its registry answered. The registry is not asked again from
// here: a Dockerfile would choose whom the runner calls, outside of the sandbox.
func (f failure) judgeImage(ref string) error {
	said := f.message()
	switch answer := answerIn(said); {
	case strings.Contains(said, "no match for platform"):
		return job.Rejectf("build %s: image %s has no image for linux/amd64, and Fly's machines are of that kind%s", f.name, ref, f.source())
	case answer == http.StatusNotFound, strings.HasSuffix(said, ": not found"):
		return job.Rejectf("build %s: image %s does not exist: check its name and tag%s", f.name, ref, f.source())
	case answer == http.StatusUnauthorized, answer == http.StatusForbidden,
		strings.Contains(said, "pull access denied"), strings.Contains(said, "authorization failed"):
		host, _, _ := strings.Cut(ref, "/")
		return job.Rejectf("build %s: image %s: its registry denies access: the image is private, or there is none of that name; give FlyCD a login for %s%s",
			f.name, ref, host, f.source())
	}
	return fmt.Errorf("build %s: image %s cannot be read: %s%s", f.name, ref, said, f.source())
}

// answerIn gives the code of a registry's answer, as containerd's client writes it; 0 is none.
func answerIn(said string) int {
	m := answered.FindStringSubmatch(said)
	if m == nil {
		return 0
	}
	code, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return code
}

// told tells a failure of the user's own: what is wrong, where, and what the step said last.
func (f failure) told(st *step) string {
	var exit *gateway.ExitError
	if !errors.As(f.err, &exit) || st == nil {
		return f.where() + f.message() + f.source()
	}
	return fmt.Sprintf("%s%s ended with exit code %d%s%s", f.where(), short(numbering.ReplaceAllString(st.name, "")), exit.ExitCode, f.last(), f.source())
}

var (
	noise     = regexp.MustCompile(`^(failed to solve: |failed to compute cache key: |failed to load cache key: |failed to calculate checksum of ref \S+: |(?:\w+: )?rpc error: code = \w+ desc = )+`)
	numbering = regexp.MustCompile(`^\[[^\]]*\] `)
	reading   = regexp.MustCompile(`^(?:\[internal\] load metadata for |resolve image config for docker-image://)(\S+)$`)
	pulling   = regexp.MustCompile(`^\[[^\]]*\] FROM (\S+)|^docker-image://(\S+)$`)
	answered  = regexp.MustCompile(`unexpected status from \w+ request to \S+: (\d{3})\b`)
	exporting = regexp.MustCompile(`^exporting to image$`)
)

// message is what BuildKit says, without its own path to it.
func (f failure) message() string { return noise.ReplaceAllString(f.err.Error(), "") }

// where names the first line of the Dockerfile that is to blame, if BuildKit knows it.
func (f failure) where() string {
	for _, s := range solver.Sources(f.err) {
		if s.GetInfo() != nil && len(s.GetRanges()) > 0 {
			return fmt.Sprintf("%s:%d: ", s.GetInfo().GetFilename(), s.GetRanges()[0].GetStart().GetLine())
		}
	}
	return ""
}

// source shows the lines of the Dockerfile that are to blame.
func (f failure) source() string {
	var text strings.Builder
	for _, s := range solver.Sources(f.err) {
		_ = s.Print(&text) // a builder takes everything
	}
	if text.Len() == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = short(lines[i])
	}
	return "\n" + strings.Join(lines, "\n")
}

// short cuts a line of a Dockerfile that nobody reads to its end.
func short(line string) string {
	const most = 500
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + "…"
}

// last gives what the step printed last that failed, or that was cut off.
func (f failure) last() string {
	st := f.seen.failing(f.err)
	if st == nil && f.seen != nil {
		st = f.seen.unfinished()
	}
	if st == nil || st.last() == "" {
		return ""
	}
	return "\n" + st.last()
}

// The kinds of steps that fail for reasons of a registry's.
const (
	readsImage = iota + 1
	pullsImage
	pushesImage
)

// about tells a step that deals with a registry, and with which image. BuildKit's own frontends name their steps so.
func (s *step) about() (ref string, kind int) {
	if s == nil {
		return "", 0
	}
	if m := reading.FindStringSubmatch(s.name); m != nil {
		return m[1], readsImage
	}
	if m := pulling.FindStringSubmatch(s.name); m != nil {
		return m[1] + m[2], pullsImage
	}
	if exporting.MatchString(s.name) {
		return "", pushesImage
	}
	return "", 0
}

// passing knows the words for a network that fails: what a step fetches itself (ADD of an address, a Git repository) fails
// with words alone, Go's or curl's as git passes them on.
func passing(text string) bool {
	text = strings.ToLower(text)
	for _, sign := range []string{
		"connection refused", "connection reset", "no such host", "i/o timeout", "tls handshake timeout", ": eof", "unexpected eof", "early eof",
		"network is unreachable", "no route to host", "server misbehaving", "temporary failure in name resolution", "could not resolve host",
		"couldn't connect to server", "connection timed out", "operation timed out", "connection closed by",
		"response status 429", "response status 500", "response status 502", "response status 503", "response status 504",
		"returned error: 429", "returned error: 500", "returned error: 502", "returned error: 503", "returned error: 504",
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
