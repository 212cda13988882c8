package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
)

// BenchmarkNothingToBuild is what it costs to find out that an image need not be built: for an app whose commits
// have not moved, for one that is read anew, and for a new app of a tree whose image the registry has (at most 50 times). Beside the time
// it counts what Git, the registry and Fly are asked.
func BenchmarkNothingToBuild(b *testing.B) {
	for _, known := range []bool{true, false} {
		b.Run(map[bool]string{true: "untouched", false: "unchanged"}[known], func(b *testing.B) {
			w := newOneTree(b)
			w.expect(w.deploy("shop0", w.tree, nil), job.Created)
			source := catalog.Source{Repo: w.code.URL}
			w.measure(b, func() {
				var change func(*deploy.Request)
				if known {
					change = w.knownAs("shop0", catalog.Entry{Source: source})
				}
				w.expect(w.deploy("shop0", w.tree, change), job.Unchanged)
			})
		})
	}
	b.Run("same tree elsewhere", func(b *testing.B) {
		w := newOneTree(b)
		n := 0
		w.measure(b, func() {
			w.expect(w.deploy(fmt.Sprint("shop", n%benchApps), w.tree, nil), job.Created)
			n++
		})
	})
}

// oneTree is a bench whose apps are built from one tree, whose image the registry has.
type oneTree struct {
	*bench
	tree job.Config
	code *deploytest.Repo
}

func newOneTree(b *testing.B) *oneTree {
	b.Helper()
	w := &oneTree{bench: newBench(b, flysim.Options{})}
	w.deployer.Log = nil
	w.deployer.Registry, w.deployer.Builder = w.Registry, image.Buildctl{Path: "/nowhere/buildctl", Registry: w.Registry}
	w.code = w.Repo("code")
	w.code.Commit(map[string]string{"Dockerfile": "FROM scratch\nCOPY says /\n", "says": "one"})
	config := w.Repo("config")
	files := map[string]string{}
	for i := range benchApps {
		app := fmt.Sprint("shop", i)
		files[app+"/app.yaml"] = "app: " + app + "\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + w.code.URL + "\"}\nimage: {repository: \"" + w.Registry + "/shared\"}\n"
	}
	config.Commit(files)
	w.tree = job.Config{Repo: config.URL}
	p, err := w.deployer.Plan(b.Context(), deploy.Request{Job: job.Job{Kind: job.Plan, App: "shop0", Config: w.tree}})
	if err != nil {
		b.Fatal(err)
	}
	w.Image(strings.TrimPrefix(p.Result.Image, w.Registry+"/"))
	return w
}

// benchApps is how many apps the tree has.
const benchApps = 50

func (w *oneTree) measure(b *testing.B, do func()) {
	b.Helper()
	var git, registry, fly int
	all := func(string, string) bool { return true }
	for b.Loop() {
		w.GitRequests.Reset()
		w.RegistryRequests.Reset()
		w.FlyRequests.Reset()
		do()
		git, registry, fly = git+len(w.GitRequests.Matching(all)), registry+len(w.RegistryRequests.Matching(all)), fly+len(w.FlyRequests.Matching(all))
	}
	b.ReportMetric(float64(git)/float64(b.N), "git/op")
	b.ReportMetric(float64(registry)/float64(b.N), "registry/op")
	b.ReportMetric(float64(fly)/float64(b.N), "fly/op")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
}
