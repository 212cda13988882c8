package machine_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// release is what flyctl sent when it recorded a release.
type release struct {
	Definition any    `json:"definition"`
	Strategy   string `json:"strategy"`
}

// TestDefinitionsAreFlyctls compares with the releases that the real flyctl recorded: the project's own
// copies, and further ones where they lie beside the project.
func TestDefinitionsAreFlyctls(t *testing.T) {
	own, err := filepath.Glob("testdata/flyctl/*/release.json")
	if err != nil || len(own) < 19 {
		t.Fatalf("there should be 19 releases: %v %v", own, err)
	}
	beside, err := filepath.Glob("../../../shared/golden/flyctl/*/deploy1/*release.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(own, beside...) {
		t.Run(file, func(t *testing.T) {
			var want release
			readJSON(t, file, &want)
			dir := strings.TrimSuffix(filepath.Dir(file), "/deploy1")
			var flags struct {
				Flags []string `json:"flags"`
			}
			readJSON(t, filepath.Join(dir, "case.json"), &flags)
			app := readApp(t, filepath.Join(dir, "fly.toml"))
			app.DeployParams = flags.Flags
			target, err := machine.Translate(app, machine.Inputs{Files: map[string][]byte{"app.conf": {}, "nginx.conf": {}}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Definition, definition(t, app, target)); diff != "" {
				t.Errorf("(-flyctl +ours):\n%s", diff)
			}
		})
	}
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func definition(t *testing.T, app *manifest.App, target machine.Target) any {
	t.Helper()
	raw, err := machine.Definition(app, target)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDefinitionsSayOwnSizesAsFlys keeps FlyCD's other keys, and secrets, out of what Fly records.
func TestDefinitionsSayOwnSizesAsFlys(t *testing.T) {
	app := appOf(t, `
processes: {web: w, job: j, idle: i}
vm: [{size: shared-cpu-2x, processes: [web, job]}, {size: shared-cpu-4x}]
machines: {count: 3, job: {ram_mb: 1024}}
mount: {source: d, destination: /d, processes: [web]}
volumes: [{name: d, size_gb: 7}]
secrets: [{name: S, type: raw, raw: hush}]
schedules: [{name: s, command: c, every: daily}]
image: {repository: ghcr.io/acme/web}
build: {secrets: [S], ssh: {default: S}, labels: {a: b}, network: none, cache: min, provenance: true, backend: buildkit, timeout: 9}
statics: [{guest_path: /p, url_prefix: /u}]
experimental: {kill_timeout: 3, metrics_port: 9}
services: {protocol: tcp, internal_port: 8080, processes: [web], concurrency: "20,25", auto_stop_machines: stop, ports: [{port: 80, http_options: {replay_cache: [{path_prefix: /, ttl_seconds: 10, type: cookie, allow_bypass: false}]}}]}
`)
	if got := text(t, definition(t, &manifest.App{Experimental: &manifest.Experimental{}, Build: &manifest.Build{}}, machine.Target{App: "a"})); got != `{"app":"a"}` {
		t.Errorf("empty sections are %s", got)
	}
	const want = `{"app":"shop","experimental":{"attached":{"secrets":{}}},"kill_timeout":"3s","metrics":[{"port":9}],` +
		`"mounts":[{"destination":"/d","initial_size":"7","processes":["web"],"source":"d"}],"processes":{"idle":"i","job":"j","web":"w"},` +
		`"services":[{"auto_stop_machines":true,"concurrency":{"hard_limit":25,"soft_limit":20,"type":"requests"},"internal_port":8080,` +
		`"ports":[{"http_options":{"replay_cache":[{"name":"","path_prefix":"/","ttl_seconds":10,"type":"cookie"}]},"port":80}],"processes":["web"],"protocol":"tcp"}],` +
		`"statics":[{"guest_path":"/p","tigris_bucket":"","url_prefix":"/u"}],` +
		`"vm":[{"processes":["web"],"size":"shared-cpu-2x"},{"size":"shared-cpu-4x"},{"cpu_kind":"shared","cpus":2,"memory_mb":1024,"processes":["job"]}]}`
	if got := text(t, definition(t, app, translate(t, app))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
