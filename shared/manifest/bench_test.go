package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
)

// plainApp is an app.yaml of a usual size.
const plainApp = `app: app-%[1]d
org: acme
primary_region: ams
source:
  type: git
  repo: https://github.com/acme/app-%[2]d
  path: services/app-%[1]d
  ref:
    branch: main
env:
  PORT: "8080"
  LEVEL: info
http_service:
  internal_port: 8080
  force_https: true
  auto_stop_machines: true
  auto_start_machines: true
  min_machines_running: 0
machines:
  count: 2
deploy_params: ["--ha=false"]
`

// BenchmarkTreeOf10000Apps walks, reads, merges, decodes and checks a tree of 10,000 apps on disk.
func BenchmarkTreeOf10000Apps(b *testing.B) {
	dir := b.TempDir()
	const apps = 10_000
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	write("project.yaml", "project: acme\nsource: {type: local}\ncommon:\n  app_defaults: {env: {TIER: gold}}\n  app_overrides: {org: acme}\n")
	for i := range apps {
		write(fmt.Sprintf("team-%d/app-%d/app.yaml", i%100, i), fmt.Sprintf(plainApp, i, i%500))
	}
	b.ReportAllocs()
	for b.Loop() {
		tree, err := manifest.Read(os.DirFS(dir), ".", manifest.Options{})
		if err != nil || len(tree.Apps) != apps {
			b.Fatalf("%d apps, %v", len(tree.Apps), err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/tree")
}
