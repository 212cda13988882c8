package manifest_test

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/manifest"
)

func readText(text string) (manifest.Tree, error) {
	return manifest.Read(fstest.MapFS{"app.yaml": {Data: []byte(text)}}, ".", manifest.Options{})
}

func yamlValue(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return throughJSON(t, v)
}

func to[T any](v T) *T { return &v }

func seconds(n float64) *manifest.Duration {
	return to(manifest.Duration(n * float64(time.Second)))
}

// spelling is an accepted way to write something, and what it means.
type spelling struct {
	text string
	want func(*manifest.App)
}

func spellings() []spelling {
	stop := to(manifest.Autostop("stop"))
	off := to(manifest.Autostop("off"))
	return []spelling{
		{"env: {INT: 8080, BIG: 1000000, FLOAT: 1.5, BOOL: true, DATE: 2024-01-02, STR: x, NONE: }", func(a *manifest.App) {
			a.Env = map[string]string{"INT": "8080", "BIG": "1000000", "FLOAT": "1.5", "BOOL": "true", "DATE": "2024-01-02", "STR": "x", "NONE": ""}
		}},
		{"env: [{A: 1}, {B: b}]", func(a *manifest.App) { a.Env = map[string]string{"A": "1", "B": "b"} }},
		{"env: {V: 1.10, HEX: 0x10, BIG: 1e6}", func(a *manifest.App) { a.Env = map[string]string{"V": "1.1", "HEX": "16", "BIG": "1e+06"} }},
		{"processes: [{name: web, command: ./web}, {name: idle}]", func(a *manifest.App) {
			a.Processes = map[string]string{"web": "./web", "idle": ""}
		}},
		{"processes: [{}]", func(*manifest.App) {}},
		{"mount: {source: data, destination: /data, initial_size: 10}", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "data", Destination: "/data", InitialSize: "10"}}
		}},
		{"mounts: {source: data, destination: /data}", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "data", Destination: "/data"}}
		}},
		{"metrics: {port: 9091, path: /m}", func(a *manifest.App) { a.Metrics = []manifest.Metrics{{Port: 9091, Path: "/m"}} }},
		{"metric: [{port: 9091, path: /m}]", func(a *manifest.App) { a.Metrics = []manifest.Metrics{{Port: 9091, Path: "/m"}} }},
		{"compute: {memory: 512}\nvm: [{size: shared-cpu-1x, processes: [app]}]", func(a *manifest.App) {
			a.VM = []manifest.VM{{Memory: "512"}, {Size: "shared-cpu-1x", Processes: []string{"app"}}}
		}},
		{"computes: [{memory: 1gb}]", func(a *manifest.App) { a.VM = []manifest.VM{{Memory: "1gb"}} }},
		{"experimental: {cmd: serve all, entrypoint: [/e], exec: x}", func(a *manifest.App) {
			a.Experimental = &manifest.Experimental{Cmd: []string{"serve all"}, Entrypoint: []string{"/e"}, Exec: []string{"x"}}
		}},
		{"experimental: {kill_timeout: 3, metrics_port: 9000, metrics_path: /foo}", func(a *manifest.App) {
			a.Experimental = &manifest.Experimental{KillTimeout: seconds(3), MetricsPort: to(9000), MetricsPath: "/foo"}
			a.KillTimeout = seconds(3)
			a.Metrics = []manifest.Metrics{{Port: 9000, Path: "/foo"}}
		}},
		{"kill_timeout: 120", func(a *manifest.App) { a.KillTimeout = seconds(120) }},
		{"kill_timeout: 1m30s", func(a *manifest.App) { a.KillTimeout = seconds(90) }},
		{"services: {internal_port: \"8080\", concurrency: \"20,25\", ports: {port: \"80\"}, tcp_checks: [{interval: 10000, timeout: 2s, grace_period: \"\"}]}", func(a *manifest.App) {
			a.Services = []manifest.Service{{
				InternalPort: 8080, Concurrency: &manifest.Concurrency{Type: "requests", SoftLimit: 20, HardLimit: 25},
				Ports:     []manifest.Port{{Port: to(80)}},
				TCPChecks: []manifest.TCPCheck{{Interval: seconds(10), Timeout: seconds(2)}},
			}}
		}},
		{"http_service: {internal_port: 80, checks: [{headers: [{name: Host, value: x}, {name: N, value: 1}]}]}", func(a *manifest.App) {
			a.HTTPService = &manifest.HTTPService{InternalPort: 80, Checks: []manifest.HTTPCheck{{Headers: map[string]string{"Host": "x", "N": "1"}}}}
		}},
		{"checks: [{name: up, type: tcp, port: 80}]", func(a *manifest.App) {
			a.Checks = map[string]*manifest.Check{"up": {Type: "tcp", Port: to(80)}}
		}},
		{"checks: {up: {type: http, port: 80, headers: {A: true}, interval: 2500}}", func(a *manifest.App) {
			a.Checks = map[string]*manifest.Check{"up": {Type: "http", Port: to(80), Headers: map[string]string{"A": "true"}, Interval: seconds(2.5)}}
		}},
		{"http_service: {internal_port: 80, auto_stop_machines: true}", func(a *manifest.App) {
			a.HTTPService = &manifest.HTTPService{InternalPort: 80, AutoStopMachines: stop}
		}},
		{"http_service: {internal_port: 80, auto_stop_machines: off, force_https: yes}", func(a *manifest.App) {
			a.HTTPService = &manifest.HTTPService{InternalPort: 80, AutoStopMachines: off, ForceHTTPS: true}
		}},
		{"build: {build_target: final}", func(a *manifest.App) { a.Build = &manifest.Build{Target: "final"} }},
		{"build: {build-target: final, args: {N: 1}}", func(a *manifest.App) {
			a.Build = &manifest.Build{Target: "final", Args: map[string]string{"N": "1"}}
		}},
		{"source: {type: docker, image: nginx}", func(a *manifest.App) { a.Source = manifest.Source{Type: "image", Image: "nginx"} }},
		{"build: {image: nginx}", func(a *manifest.App) {
			a.Build, a.Source = &manifest.Build{Image: "nginx"}, manifest.Source{Type: "image", Image: "nginx"}
		}},
		{"machines: {count: 2, count_per_region: {ams: 3}, ram_mb: 256}", func(a *manifest.App) {
			a.Machines.Guest = manifest.Guest{Count: to(2), CountPerRegion: map[string]int{"ams": 3}, RAMMB: to(256)}
		}},
		{"processes: {web: run}\nmachines: {count: 1, web: {count: 3, size: shared-cpu-2x}}", func(a *manifest.App) {
			a.Processes = map[string]string{"web": "run"}
			a.Machines.Count = to(1)
			a.Machines.Groups = map[string]manifest.Guest{"web": {Count: to(3), Size: "shared-cpu-2x"}}
		}},
		{"restart: {policy: never}", func(a *manifest.App) { a.Restart = []manifest.Restart{{Policy: "never"}} }},
		{"x-shared: &s {A: 1}\nenv: *s", func(a *manifest.App) { a.Env = map[string]string{"A": "1"} }},
		{"x-shared: &s {A: 1, B: 2}\nenv: {<<: *s, B: 3}", func(a *manifest.App) { a.Env = map[string]string{"A": "1", "B": "3"} }},
		{"primary_region: no\norg: 123", func(a *manifest.App) { a.PrimaryRegion, a.Org = "no", "123" }},
		{"secrets: [{name: A, type: raw, raw: 12}]", func(a *manifest.App) {
			a.Secrets = []manifest.SecretRef{{Name: "A", Type: "raw", Raw: manifest.NewSecret("12")}}
		}},
	}
}

func TestAcceptedSpellingsMeanTheSame(t *testing.T) {
	for _, c := range spellings() {
		t.Run(c.text, func(t *testing.T) {
			want := &manifest.App{Name: "a", Source: manifest.Source{Type: "local"}}
			c.want(want)
			got := entry(t, "app.yaml", []byte("app: a\n"+c.text)).App
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(manifest.Secret{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOldFlagsAreHonouredWhereNoKeySaysIt(t *testing.T) {
	text := `
org: acme
launch_params: ["--name", flagged, "--org", other, "--region=ams", "--ha", "--strange", x]
deploy_params: ["--strategy", immediate, "--image", "nginx:1", "--no-cache", "--build-arg", A=1, "--build-arg=B=2", "--ha=false", --vm-size, shared-cpu-1x]
build: {args: {A: "0"}}
`
	tree, err := readText(text)
	if err != nil {
		t.Fatal(err)
	}
	want := &manifest.App{
		Name: "flagged", Org: "acme", PrimaryRegion: "ams", HA: to(false), Source: manifest.Source{Type: "image", Image: "nginx:1"},
		Build:         &manifest.Build{Image: "nginx:1", NoCache: true, Args: map[string]string{"A": "1", "B": "2"}},
		DeploySection: &manifest.DeploySection{Strategy: "immediate"},
	}
	got := tree.Apps[0].App
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(manifest.App{}, "LaunchParams", "DeployParams")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	warnings := []string{
		"app.yaml:3:76: launch_params: --strange has no meaning for FlyCD and is ignored",
		"app.yaml:5:15: build.args: has no effect: the app runs an image that is there already, and builds none",
	}
	if diff := cmp.Diff(warnings, lines(manifest.Problems(tree.Warnings))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
