package deploy_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// claim is a runner's hold that is trusted while it says so.
type claim func() bool

func (c claim) TrustedUntil() time.Time {
	if c() {
		return time.Now().Add(time.Minute)
	}
	return time.Time{}
}

func (b *bench) machines() int {
	return len(b.FlyRequests.Matching(func(method, uri string) bool { return method == http.MethodPost && strings.HasSuffix(uri, "/machines") }))
}

// A deployer whose claim is lost begins no further write.
func TestNothingIsChangedWithoutTrust(t *testing.T) {
	for name, most := range map[string]int{"at once": 0, "after a machine": 1} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, flysim.Options{})
			dir := t.TempDir()
			write(t, dir, map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi") + "machines: {count: 3}\n"})
			b.deployer.Lease = claim(func() bool { return b.machines() < most })
			req := deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: job.Config{Repo: dir}}}
			_, err := b.deployer.Deploy(t.Context(), req)
			if !errors.Is(err, deploy.ErrUntrusted) && !errors.Is(err, fly.ErrUntrusted) {
				t.Errorf("got %v, want that the claim is not trusted", err)
			}
			if got := b.machines(); got != most {
				t.Errorf("%d machines were made, want %d", got, most)
			}
			// whoever has the claim now goes on
			b.deployer.Lease = nil
			b.expect(b.deploy("hello", req.Job.Config, nil), job.Created)
			if got := b.machines(); got != 3 {
				t.Errorf("%d machines were made in all, want 3", got)
			}
		})
	}
}

// A claim that is not trusted for as long as a write takes is waited for, and no longer than it lasts.
func TestShortTrustIsWaitedFor(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi")})
	until := time.Now().Add(time.Second)
	b.deployer.Lease = fixed(until)
	_, err := b.deployer.Deploy(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: job.Config{Repo: dir}}})
	if !errors.Is(err, deploy.ErrUntrusted) || time.Now().Before(until) {
		t.Errorf("got %v %s before the trust ended", err, time.Until(until))
	}
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("wrote %v", w)
	}
}

type fixed time.Time

func (f fixed) TrustedUntil() time.Time { return time.Time(f) }

// Told to stop, the deploy ends with the cause, between two steps.
func TestStopIsNoFailure(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi")})
	why := errors.New("told to stop")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(why)
	_, err := b.deployer.Deploy(ctx, deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: job.Config{Repo: dir}}})
	if !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

// The claim is lost in the middle of a step of several writes: the next write is not begun.
func TestStepStopsBetweenWrites(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	text := manifestOf(b.Image("hello:1"), "hi")
	write(t, dir, map[string]string{"app.yaml": text})
	tree := job.Config{Repo: dir}
	b.expect(b.deploy("hello", tree, nil), job.Created)
	// a mount that is added makes a new machine, and then destroys the old one
	write(t, dir, map[string]string{"app.yaml": text + "mounts: [{source: data, destination: /data}]\n"})
	b.deployer.Lease = claim(func() bool { return b.machines() < 2 })
	_, err := b.deployer.Deploy(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: tree}})
	if !errors.Is(err, deploy.ErrUntrusted) && !errors.Is(err, fly.ErrUntrusted) {
		t.Errorf("got %v, want that the claim is not trusted", err)
	}
	destroyed := b.FlyRequests.Matching(func(method, uri string) bool {
		return method == http.MethodDelete && !strings.HasSuffix(uri, "/lease")
	})
	if len(destroyed) > 0 || b.machines() != 2 {
		t.Errorf("%d machines were made and %v destroyed, want 2 and none", b.machines(), destroyed)
	}
	b.deployer.Lease = nil
	b.expect(b.deploy("hello", tree, nil), job.Updated)
}
