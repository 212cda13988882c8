package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// alone are the recorded cases that flyctl was told to deploy with --ha=false.
var alone = []string{"08", "09", "11", "15", "18", "20", "24", "25"}

// deploys are the ways that an app is deployed, in order.
var deploys = []struct {
	name    string
	outcome job.Outcome
	// short gives what the catalog and the last result say; image is what runs afterwards; flyctl is the recording.
	short         bool
	image, flyctl string
}{
	{"first", job.Created, false, "1", "first.txt"},
	{"unchanged", job.Unchanged, false, "1", ""},
	{"untouched", job.Unchanged, true, "1", ""},
	{"changed", job.Updated, false, "2", "update.txt"},
}

// BenchmarkCallsPerApp counts what a deploy asks of Fly, beside what the real flyctl asked when it was
// recorded with the same fly.toml (testdata/flyctl) against a simulated Fly. flyctl's app was there before its
// first deploy; ours is made by it. flyctl looks images up through Fly, FlyCD asks the registry, which is not
// counted. Both wait for the machines that they start; neither goes on watching those that run.
func BenchmarkCallsPerApp(b *testing.B) {
	cases, err := filepath.Glob("testdata/flyctl/*")
	if err != nil || len(cases) == 0 {
		b.Fatalf("no recordings: %v", err)
	}
	for _, dir := range cases {
		b.Run(filepath.Base(dir), func(b *testing.B) {
			for b.Loop() {
				countCalls(b, dir)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func countCalls(b *testing.B, dir string) {
	b.Helper()
	w := newBench(b, flysim.Options{})
	w.deployer.Fly = unwatched(b, w)
	repo, app := w.Repo("config"), "app"+filepath.Base(dir)[:2]
	images := map[string]string{"1": w.Image("app:1"), "2": w.Image("app:2")}
	for _, d := range deploys {
		var known *catalog.Entry
		if d.short {
			known = entryOf(b, w, repo, app)
		} else {
			repo.Commit(withImage(b, dir, images[d.image]))
		}
		w.FlyRequests.Reset()
		w.expect(w.deploy(app, job.Config{Repo: repo.URL}, func(r *deploy.Request) { r.Entry = known }), d.outcome)
		calls := w.FlyRequests.Matching(func(string, string) bool { return true })
		b.Logf("%s: %d calls\n%s", d.name, len(calls), strings.Join(calls, "\n"))
		b.ReportMetric(float64(len(calls)), d.name)
		if d.flyctl != "" {
			b.ReportMetric(float64(strings.Count(readFile(b, filepath.Join(dir, d.flyctl)), "\n")), "flyctl-"+d.name)
		}
	}
}

// unwatched gives a client as in production, but for the ten seconds that it watches machines.
func unwatched(b *testing.B, w *bench) *fly.Client {
	b.Helper()
	c, err := fly.New(b.Context(), fly.Options{Token: deploytest.Token, BaseURL: w.FlyURL, Smoke: -1})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// entryOf gives what a sync of the config repository writes of the app.
func entryOf(b *testing.B, w *bench, repo *deploytest.Repo, app string) *catalog.Entry {
	b.Helper()
	q, err := queue.Open(queuetest.Embedded(b), "")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	s := &deploy.Syncer{Source: w.Source(), Catalog: q, Links: q, Sights: q, Graves: q, Sweeper: q, Index: q, Jobs: q}
	sync := job.Job{ID: job.SaltedID(job.Sync, app, "bench"), Kind: job.Sync, Config: job.Config{Repo: repo.URL}, Created: time.Now()}
	if _, err := s.Sync(b.Context(), deploy.Request{Job: sync}); err != nil {
		b.Fatal(err)
	}
	e, found, err := q.Entry(b.Context(), app)
	if err != nil || !found {
		b.Fatalf("the catalog has no %s: %v", app, err)
	}
	return &e
}

// withImage is the case's fly.toml as an app.toml that names the image, and the files beside it.
func withImage(b *testing.B, dir, image string) map[string]string {
	b.Helper()
	name := "fly.toml"
	if _, err := os.Stat(filepath.Join(dir, "fly2.toml")); err == nil && strings.HasSuffix(image, ":2") {
		name = "fly2.toml" // the update was recorded with another one
	}
	ha := "true"
	if slices.Contains(alone, filepath.Base(dir)[:2]) {
		ha = "false"
	}
	files := map[string]string{
		"app.toml": "ha = " + ha + "\n" + readFile(b, filepath.Join(dir, name)) + "\n[source]\ntype = \"image\"\nimage = \"" + image + "\"\n",
	}
	if strings.Contains(files["app.toml"], "nginx.conf") {
		files["nginx.conf"] = readFile(b, filepath.Join(dir, "nginx.conf"))
	}
	return files
}

func readFile(b *testing.B, name string) string {
	b.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}
