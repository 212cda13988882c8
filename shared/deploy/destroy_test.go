package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// What is lost for good with an app is named, and the app stays until a person says that it may go.
func TestAppWithWhatCannotBeHadAgainIsNotDestroyedUnasked(t *testing.T) {
	a := appBench(t)
	q, err := queue.Open(queuetest.Embedded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	a.deployer.Index, a.deployer.Tombs = q, q
	a.commit("certs: [{hostname: hello.example.com}]\nnetwork: {ips: [{v: v4}, {v: v6}]}\n")
	a.expect(a.deploy("hello", a.tree, nil), job.Created)
	destroy := func(confirm bool) job.Result {
		t.Helper()
		req := jobOf("destroy "+time.Now().String(), "hello", a.tree, a.last["hello"])
		req.Job.Kind, req.Job.Confirm = job.Destroy, confirm
		res, err := a.deployer.Deploy(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	before := a.shape("hello")
	res := destroy(true)
	a.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "nothing says that FlyCD made it") {
		t.Errorf("of an app that no tree ever named: %q", res.Detail)
	}
	forget(t, q, a.tree, "hello")
	res = destroy(false)
	a.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "the certificate of hello.example.com") || strings.Count(res.Detail, "the address") != 1 {
		t.Errorf("detail %q", res.Detail)
	}
	if after := a.shape("hello"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	a.expect(destroy(true), job.Updated)
	if got := a.shape("hello"); got != "no app" {
		t.Errorf("left: %s", got)
	}
}

// forget has a tree stop naming an app.
func forget(t *testing.T, q *queue.Queue, tree job.Config, app string) {
	t.Helper()
	ctx := t.Context()
	for i := range 2 {
		entries := []catalog.Entry{{App: app, Prune: true}}[:1-i]
		if i == 1 {
			if err := q.MarkGone(ctx, tree, []queue.Gone{{Entry: catalog.Entry{App: app, Prune: true}}}); err != nil {
				t.Fatal(err)
			}
		}
		gen, err := q.BeginGeneration(ctx, tree)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.WriteEntries(ctx, tree, gen, entries); err != nil {
			t.Fatal(err)
		}
		if ok, err := q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Order: job.Order{Time: int64(i + 1)}}); err != nil || !ok {
			t.Fatalf("switched: %v (%v)", ok, err)
		}
	}
}
