package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	planned = 100
	each    = 10
	// abreast is flycd plan's own default of --parallel.
	abreast = 8
)

// BenchmarkPlanOf100Apps plans a hundred apps of ten machines that Fly holds, with Fly's documented rate
// limits on: one request a second for each action and app, in bursts of three. A refused request is sent
// again and counted again.
func BenchmarkPlanOf100Apps(b *testing.B) {
	w := newBench(b, flysim.Options{RateLimits: true})
	w.deployer.Log = nil
	dir, img := b.TempDir(), w.Image("app:1")
	for i := range planned {
		text := fmt.Sprintf("app: plan-%d\nprimary_region: ams\nsource: {type: image, image: %q}\nmachines: {count: %d}\nhttp_service: {internal_port: 8080}\n", i, img, each)
		writeApp(b, filepath.Join(dir, fmt.Sprint("app-", i)), text)
	}
	folder, err := deploy.OpenFolder(b.Context(), w.Source(), dir, manifest.Options{})
	if err != nil || len(folder.Apps) != planned {
		b.Fatalf("%d apps: %v", len(folder.Apps), err)
	}
	b.Cleanup(func() { _ = folder.Close() })
	w.deployer.Fly = unwatched(b, w) // it waits as in production
	w.deployAll(b, folder)
	var took time.Duration
	for b.Loop() {
		w.Sim.Advance(time.Minute) // nobody has asked for anything of late
		w.FlyRequests.Reset()
		began := time.Now()
		w.planAll(b, folder)
		took += time.Since(began)
	}
	calls := len(w.FlyRequests.Matching(func(string, string) bool { return true }))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/plan")
	b.ReportMetric(float64(calls)/planned, "calls/app")
}

func writeApp(b *testing.B, dir, text string) {
	b.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

func folderRequest(folder *deploy.Folder, e manifest.Entry, kind job.Kind) deploy.Request {
	return deploy.Request{
		Job:    job.Job{ID: job.SaltedID(kind, e.App.Name, "bench"), Kind: kind, App: e.App.Name, Config: job.Config{Repo: folder.Path()}, Created: time.Now()},
		Folder: folder,
	}
}

// deployAll deploys all apps at once: each has limits of its own. An attempt that the limits end is
// followed by another, as in the queue.
func (b *bench) deployAll(tb testing.TB, folder *deploy.Folder) {
	tb.Helper()
	var g errgroup.Group
	for _, e := range folder.Apps {
		g.Go(func() error {
			for attempt := 1; ; attempt++ {
				res, err := b.deployer.Deploy(tb.Context(), folderRequest(folder, e, job.Deploy))
				if err == nil && !res.Outcome.Done() {
					err = fmt.Errorf("%s is %s: %s", e.App.Name, res.Outcome, res.Detail)
				}
				if err == nil || attempt == 10 {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// planAll plans all apps; nothing may be left to do.
func (b *bench) planAll(tb testing.TB, folder *deploy.Folder) {
	tb.Helper()
	var g errgroup.Group
	g.SetLimit(abreast)
	for _, e := range folder.Apps {
		g.Go(func() error {
			p, err := b.deployer.Plan(tb.Context(), folderRequest(folder, e, job.Plan))
			if err == nil && !p.Plan.Empty() {
				err = fmt.Errorf("%s has a plan: %v", e.App.Name, p.Summary)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}
