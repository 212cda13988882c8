package deploy_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

func request(tree job.Config, salt string) deploy.Request {
	return deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", salt), Kind: job.Deploy, App: "hello", Config: tree, Created: time.Now()}}
}

// updates counts the configs that machines were given.
func (b *bench) updates() int {
	one := regexp.MustCompile(`/machines/[0-9a-f]{14}$`)
	return len(b.FlyRequests.Matching(func(method, uri string) bool { return method == http.MethodPost && one.MatchString(uri) }))
}

// greetings gives what the machines of hello say.
func (b *bench) greetings() string {
	b.tb.Helper()
	o, err := b.deployer.Fly.Observe(b.tb.Context(), "hello", plan.Scope{})
	if err != nil {
		b.tb.Fatal(err)
	}
	var all []string
	for _, m := range o.Machines {
		all = append(all, m.Config.Env["GREETING"])
	}
	return strings.Join(all, " ")
}

const three = "machines: {count: 3}\ndeploy: {wait_timeout: 300ms}\n"

// A deployer dies with a bad release on the first machine. The next attempt gives it to no other, and
// puts the first one back to what it was before the job.
func TestNextAttemptPutsBackWhatADeadOneChanged(t *testing.T) {
	b := newBench(t, flysim.Options{})
	good, bad := b.Image("hello:1"), b.Image("bad:1")
	b.spoil(bad, flysim.Behavior{Checks: "critical"})
	dir := t.TempDir()
	tree := job.Config{Repo: dir}
	write(t, dir, map[string]string{"app.yaml": manifestOf(good, "good") + three})
	b.expect(b.deploy("hello", tree, nil), job.Created)

	write(t, dir, map[string]string{"app.yaml": manifestOf(bad, "bad") + three})
	req := request(tree, "bad")
	b.FlyRequests.Reset()
	b.deployer.Lease = claim(func() bool { return b.updates() == 0 })
	if _, err := b.deployer.Deploy(t.Context(), req); err == nil {
		t.Fatal("the attempt ended although its claim was lost")
	}
	if got := b.greetings(); strings.Count(got, "bad") != 1 {
		t.Fatalf("machines say %q, want one bad one", got)
	}

	b.deployer.Lease = nil
	b.FlyRequests.Reset()
	res, err := b.deployer.Deploy(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	b.expect(res, job.Failed)
	if got := b.greetings(); got != "good good good" || b.updates() != 1 {
		t.Errorf("machines say %q after %d updates, want the good release after one: %s", got, b.updates(), res.Detail)
	}
	if !strings.Contains(res.Detail, "put back") {
		t.Errorf("detail %q", res.Detail)
	}
}

// The attempt that did everything could not tell; the next one finds nothing to do, and tells what
// the job did.
func TestWhatAnEarlierAttemptDidIsToldAgain(t *testing.T) {
	b := newBench(t, flysim.Options{})
	img := b.Image("hello:1")
	dir := t.TempDir()
	for i, want := range []job.Outcome{job.Created, job.Updated} {
		write(t, dir, map[string]string{"app.yaml": manifestOf(img, strings.Repeat("hi", i+1))})
		req := request(job.Config{Repo: dir}, string(want))
		for range 2 {
			res, err := b.deployer.Deploy(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			b.expect(res, want)
		}
		b.expect(b.deploy("hello", req.Job.Config, nil), job.Unchanged)
	}
}

// The first release has nothing to go back to, whichever attempt finds out.
func TestFirstReleaseIsLeftForALook(t *testing.T) {
	b := newBench(t, flysim.Options{})
	bad := b.Image("bad:1")
	b.spoil(bad, flysim.Behavior{Checks: "critical"})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": manifestOf(bad, "bad") + three})
	req := request(job.Config{Repo: dir}, "first")
	for range 2 {
		res, err := b.deployer.Deploy(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		b.expect(res, job.Failed)
		if got := b.greetings(); got != "bad" {
			t.Errorf("machines say %q, want one that can be looked at (%s)", got, res.Detail)
		}
	}
}

// A dead deployer left one machine of a bad release, and others that are too many now. They are all
// that serves, and stay until what takes their place is proven.
func TestNothingGoesBeforeWhatStaysIsProven(t *testing.T) {
	b := newBench(t, flysim.Options{})
	good, bad := b.Image("hello:1"), b.Image("bad:1")
	b.spoil(bad, flysim.Behavior{Checks: "critical"})
	dir := t.TempDir()
	tree := job.Config{Repo: dir}
	write(t, dir, map[string]string{"app.yaml": manifestOf(good, "good") + three})
	b.expect(b.deploy("hello", tree, nil), job.Created)

	write(t, dir, map[string]string{"app.yaml": manifestOf(bad, "bad") + strings.Replace(three, "3", "1", 1)})
	b.FlyRequests.Reset()
	b.deployer.Lease = claim(func() bool { return b.updates() == 0 })
	if _, err := b.deployer.Deploy(t.Context(), request(tree, "bad")); err == nil {
		t.Fatal("the attempt ended although its claim was lost")
	}
	b.deployer.Lease = nil
	b.expect(b.deploy("hello", tree, nil), job.Failed)
	if got := b.greetings(); strings.Count(got, "good") != 2 {
		t.Errorf("machines say %q, want the two good ones still", got)
	}
}
