package install_test

import (
	"strings"
	"testing"
)

func TestOneRunInstallsAllAndCheckingItFindsNothing(t *testing.T) {
	w := newWorld(t, options{real: true})
	p, r := w.install(t, w.want())
	if len(r.Done) == 0 || p.Empty() {
		t.Errorf("done: %v", r.Done)
	}
	w.check(t, w.want())
	t.Log(w.holdings(t))
	for _, repo := range w.forge.State().Repos {
		for _, h := range repo.Hooks {
			if len(h.Deliveries) == 0 || h.Deliveries[0].Code != 200 {
				t.Errorf("the ping of %s: %+v", repo.Repo, h.Deliveries)
			}
		}
	}
	for _, c := range w.configs() {
		for _, secret := range []string{flyToken, gitToken, "redis://", "FlyV1"} {
			if strings.Contains(c, secret) {
				t.Errorf("a machine's config tells %s: %s", secret, c)
			}
		}
	}
}
