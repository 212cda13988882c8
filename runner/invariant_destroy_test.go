package runner_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// A destroy looks again under the app's lease: what was named while it waited for the lease stays.
func TestDestroyLooksAgainUnderTheLease(t *testing.T) {
	h := newHouse(t, queuetest.Embedded(t))
	img, config := h.Image("web:1"), h.Repo("config")
	h.roots = []job.Config{{Repo: config.URL}}
	text := yaml("web", img, "1") + "sync: {prune: true, prune_grace: 0}\n"
	h.push(config, config.Commit(map[string]string{"web/app.yaml": text, "other/app.yaml": yaml("other", img, "1")}))
	h.drain()
	h.push(config, config.Commit(map[string]string{"web/app.yaml": ""}))
	l, _ := h.take()
	if err := h.runner(l).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	destroy, ok := h.take()
	if !ok || destroy.Job.Kind != job.Destroy {
		t.Fatalf("took %+v, want a destroy", destroy.Job)
	}
	// somebody else has the lease while the tree names the app again
	other, err := h.Fly().Begin(t.Context(), "web", plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	h.FlyRequests.Reset()
	ended := make(chan error, 1)
	go func() { ended <- h.runner(destroy).Run(t.Context()) }()
	h.await("the destroy to ask for the lease", func() bool {
		asked := h.FlyRequests.Matching(func(method, uri string) bool { return method == "POST" && strings.Contains(uri, "/lease") })
		return len(asked) > 0
	})
	h.push(config, config.Commit(map[string]string{"web/app.yaml": text}))
	l, _ = h.take()
	if err := h.runner(l).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := h.record(destroy.Job.ID).Result.Outcome; got != job.Cancelled {
		t.Errorf("the destroy ended %s, want cancelled", got)
	}
	h.expect(h.drain(), map[string]job.Outcome{"web": job.Unchanged})
}
