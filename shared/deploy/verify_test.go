package deploy_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// outside is what somebody outside sees: an address that answers well or does not.
type outside struct {
	url  string
	well atomic.Bool
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !o.well.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

// verify is the section that asks for it.
func (o *outside) verify() string { return "verify: [{url: '" + o.url + "', within: 200ms}]\n" }

// TestWhatFailedOutsideIsNotUnchanged: a release that runs and does not answer failed, and still fails when there is
// nothing left to change.
func TestWhatFailedOutsideIsNotUnchanged(t *testing.T) {
	a, o := appOf(t, flysim.Options{}), newOutside(t)
	a.write(a.Image("hello:1"), "on_failure: none\n"+o.verify())
	a.expect(a.run(), job.Failed)
	a.expect(a.run(), job.Failed)
	o.well.Store(true)
	a.expect(a.run(), job.Unchanged)
}

// TestNothingIsLostForGoodBeforeTheReleaseIsProven: not even on a person's word, and in no strategy.
func TestNothingIsLostForGoodBeforeTheReleaseIsProven(t *testing.T) {
	for _, strategy := range []string{"rolling", "immediate"} {
		a, o := appOf(t, flysim.Options{}), newOutside(t)
		img := a.Image("hello:1")
		a.write(img, "mounts: [{source: data, destination: /data}]\n")
		a.expect(a.run(), job.Created)
		without := "sync: {prune: true}\ndeploy: {strategy: " + strategy + "}\n" + o.verify()
		a.write(img, without)
		a.expect(a.confirmed(), job.Failed)
		if d := a.disks(); len(d) != 1 {
			t.Errorf("%s: volumes %+v after a release that failed", strategy, d)
		}
		o.well.Store(true)
		a.expect(a.confirmed(), job.Updated)
		if d := a.disks(); len(d) != 0 {
			t.Errorf("%s: volumes %+v after one that did not", strategy, d)
		}
	}
}

// TestRollbackSeesThroughLateLists: a machine that the failed deploy made goes, although Fly's lists do not show
// it yet.
func TestRollbackSeesThroughLateLists(t *testing.T) {
	a, o := appOf(t, flysim.Options{}), newOutside(t)
	img := a.Image("hello:1")
	a.write(img, "machines: {count: 1}\n")
	a.expect(a.run(), job.Created)
	a.write(img, "machines: {count: 2}\non_failure: rollback\n"+o.verify())
	a.Sim.SetLag(flysim.Lag{List: time.Minute})
	a.expect(a.run(), job.Failed)
	if n := len(a.alive()); n != 1 {
		t.Errorf("%d machines after the rollback, want 1", n)
	}
}

// TestLateListsFailNoDeployThatWasProven: what the deploy did itself counts, also for secrets.
func TestLateListsFailNoDeployThatWasProven(t *testing.T) {
	a := appBench(t)
	a.commit("")
	a.expect(a.run(), job.Created)
	a.commit(apiKey)
	a.Sim.SetLag(flysim.Lag{List: time.Minute})
	a.expect(a.deploy("hello", a.tree, func(r *deploy.Request) { r.Final = true }), job.Updated)
}
