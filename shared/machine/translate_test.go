package machine_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

const head = "app: shop\nsource: {type: image, image: nginx}\n"

func appOf(t *testing.T, yaml string) *manifest.App {
	t.Helper()
	tree, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: []byte(head + yaml)}}, ".", manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Apps[0].App
}

// TestBadValuesAreNamed changes one thing of a sound app; the error has to name the key and what
// would be right. The manifest reader refuses some of these itself, so the apps are made by hand.
func TestBadValuesAreNamed(t *testing.T) {
	sec := func(n int) *manifest.Duration { return new(manifest.Duration(time.Duration(n) * time.Second)) }
	table := []struct {
		want string
		bend func(*manifest.App)
	}{
		{"app: is missing", func(a *manifest.App) { a.Name = "" }},
		{`deploy.strategy: is "fast"; it can be rolling, immediate, canary or bluegreen`, func(a *manifest.App) { a.DeploySection = &manifest.DeploySection{Strategy: "fast"} }},
		{"deploy.strategy: canary does not go with mounts", func(a *manifest.App) {
			a.DeploySection = &manifest.DeploySection{Strategy: "canary"}
			a.Mounts = []manifest.Mount{{Source: "d", Destination: "/d"}}
		}},
		{"deploy.max_unavailable: is 0", func(a *manifest.App) { a.DeploySection = &manifest.DeploySection{MaxUnavailable: new(0.0)} }},
		{"deploy.release_command: cannot be split", func(a *manifest.App) { a.DeploySection = &manifest.DeploySection{ReleaseCommand: "a 'b"} }},
		{"processes.app: cannot be split", func(a *manifest.App) { a.Processes = map[string]string{"app": `a "b`}; a.HTTPService = nil }},
		{"http_service.processes: is missing: an app with [processes]", func(a *manifest.App) { a.Processes = map[string]string{"web": ""} }},
		{`http_service.processes: "web" is no process group of this app; it has app`, func(a *manifest.App) { a.HTTPService.Processes = []string{"web"} }},
		{`machines.web: "web" is no process group`, func(a *manifest.App) { a.Machines.Groups = map[string]manifest.Guest{"web": {}} }},
		{"machines.count: is 2000000000; it must be 0 to 1000", func(a *manifest.App) { a.Machines.Count = new(2_000_000_000) }},
		{"http_service.internal_port: is 0", func(a *manifest.App) { a.HTTPService.InternalPort = 0 }},
		{`services.protocol: is "sctp"; it can be tcp or udp`, func(a *manifest.App) { a.Services = []manifest.Service{{InternalPort: 1, Protocol: "sctp"}} }},
		{"services.ports.port: is 70000", func(a *manifest.App) {
			a.Services = []manifest.Service{{InternalPort: 1, Ports: []manifest.Port{{Port: new(70000)}}}}
		}},
		{`http_service.auto_stop_machines: is "nap"`, func(a *manifest.App) { a.HTTPService.AutoStopMachines = new(manifest.Autostop("nap")) }},
		{"http_service.ports.http_options.idle_timeout: is -1", func(a *manifest.App) { a.HTTPService.HTTPOptions = &manifest.HTTPOptions{IdleTimeout: new(-1)} }},
		{`checks.up.type: is "icmp"`, func(a *manifest.App) { a.Checks = map[string]*manifest.Check{"up": {Type: "icmp"}} }},
		{"checks.up.port: is missing, and group app has no http_service", func(a *manifest.App) {
			a.HTTPService = nil
			a.Checks = map[string]*manifest.Check{"up": {Type: "tcp"}}
		}},
		{"checks.up.interval: is 1s; it must be 2s at least", func(a *manifest.App) { a.Checks = map[string]*manifest.Check{"up": {Type: "tcp", Interval: sec(1)}} }},
		{"checks.up.timeout: is 1m1s; it must be 1m at most", func(a *manifest.App) { a.Checks = map[string]*manifest.Check{"up": {Type: "tcp", Timeout: sec(61)}} }},
		{"mounts: group app has 2 of them", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "a", Destination: "/a"}, {Source: "b", Destination: "/b"}}
		}},
		{"mounts.source: is missing", func(a *manifest.App) { a.Mounts = []manifest.Mount{{Destination: "/a"}} }},
		{`mounts.destination: is "a"`, func(a *manifest.App) { a.Mounts = []manifest.Mount{{Source: "a", Destination: "a"}} }},
		{`mounts.initial_size: is "lots"`, func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "a", Destination: "/a", InitialSize: "lots"}}
		}},
		{"mounts.snapshot_retention: is 61", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "a", Destination: "/a", SnapshotRetention: new(61)}}
		}},
		{"mounts.auto_extend_size_threshold: is 10", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "a", Destination: "/a", AutoExtendSizeThreshold: 10, AutoExtendSizeIncrement: "1gb"}}
		}},
		{"mounts.auto_extend_size_increment: is 0 GB", func(a *manifest.App) {
			a.Mounts = []manifest.Mount{{Source: "a", Destination: "/a", AutoExtendSizeThreshold: 80}}
		}},
		{`vm.size: is "huge", which is none of Fly's sizes: shared-cpu-1x, shared-cpu-2x`, func(a *manifest.App) { a.VM = []manifest.VM{{Size: "huge"}} }},
		{`vm.memory: is "0mb"`, func(a *manifest.App) { a.VM = []manifest.VM{{Memory: "0mb"}} }},
		{`vm.cpu_kind: is "quantum"`, func(a *manifest.App) { a.VM = []manifest.VM{{CPUKind: "quantum"}} }},
		{`vm.persist_rootfs: is "maybe"`, func(a *manifest.App) { a.VM = []manifest.VM{{PersistRootfs: "maybe"}} }},
		{"machines.ram_mb: is 0", func(a *manifest.App) { a.Machines.RAMMB = new(0) }},
		{`machines.cpu_type: is "x"`, func(a *manifest.App) { a.Machines.CPUType = "x" }},
		{"machines.count: is -1", func(a *manifest.App) { a.Machines.Count = new(-1) }},
		{`restart.policy: is "maybe"`, func(a *manifest.App) { a.Restart = []manifest.Restart{{Policy: "maybe"}} }},
		{`statics.guest_path: is "public"`, func(a *manifest.App) { a.Statics = []manifest.Static{{GuestPath: "public", URLPrefix: "/"}} }},
		{`files.guest_path: is "x"`, func(a *manifest.App) { a.Files = []manifest.File{{GuestPath: "x", RawValue: "y"}} }},
		{`files.local_path: there is no file "y"`, func(a *manifest.App) { a.Files = []manifest.File{{GuestPath: "/x", LocalPath: "y"}} }},
		{"network.ips.private: does not go with v: v4", func(a *manifest.App) { a.Network.IPs = []manifest.IP{{V: "v4", Private: true}} }},
		{`network.ips.v: is "v5"`, func(a *manifest.App) { a.Network.IPs = []manifest.IP{{V: "v5"}} }},
		{"machine_config: is neither a JSON object nor a file", func(a *manifest.App) { a.MachineConfig = "x.json" }},
		{"machine_config: is not a machine config in JSON", func(a *manifest.App) { a.MachineConfig = `{"env": 1}` }},
		{`container: there is no container "b"`, func(a *manifest.App) {
			a.MachineConfig, a.Container = `{"containers":[{"name":"a"}]}`, "b"
		}},
		{`machine_config.containers: container "b" has no image`, func(a *manifest.App) { a.MachineConfig = `{"containers":[{"name":"a"},{"name":"b"}]}` }},
		{"build.compose: there is no compose.yaml or compose.yml or docker-compose.yaml or docker-compose.yml", func(a *manifest.App) { a.Build = &manifest.Build{Compose: &manifest.Compose{}} }},
		{`deploy_params: --vm-cpus is "many"`, func(a *manifest.App) { a.DeployParams = []string{"--vm-cpus", "many"} }},
	}
	for _, row := range table {
		app := &manifest.App{Name: "shop", HTTPService: &manifest.HTTPService{InternalPort: 8080}}
		if _, err := machine.Translate(app, machine.Inputs{}); err != nil {
			t.Fatal(err)
		}
		row.bend(app)
		_, err := machine.Translate(app, machine.Inputs{})
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("got error %v\nwant one with %q", err, row.want)
		}
	}
}

func TestAllProblemsComeAtOnceAndOnce(t *testing.T) {
	app := &manifest.App{Name: "shop", Processes: map[string]string{"a": "", "b": ""}, Services: []manifest.Service{{Protocol: "x", Processes: []string{"a", "b"}}}}
	_, err := machine.Translate(app, machine.Inputs{})
	if got, want := fmt.Sprint(err), "services.internal_port: is 0; it must be the port that the app listens on, 1 to 65535\nservices.protocol: is \"x\"; it can be tcp or udp"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestCountsFollowHighAvailability(t *testing.T) {
	const serving, mounting = "http_service: {internal_port: 1}\n", "mounts: [{source: d, destination: /d}]\n"
	table := []struct {
		yaml    string
		create  int
		standby bool
		exact   string
	}{
		{"", 1, false, ""},
		{serving, 1, false, ""},
		{"ha: true\n" + serving, 2, false, ""},
		{"ha: true\n", 1, true, ""},
		{"ha: true\n" + mounting, 1, false, ""},
		{"ha: true\n" + mounting + serving, 1, false, ""},
		{"deploy_params: [--ha=false]\n" + serving, 1, false, ""},
		{"deploy_params: [--ha]\n" + serving, 2, false, ""},
		{"ha: false\ndeploy_params: [--ha]\n" + serving, 1, false, ""},
		{"ha: true\nmachines: {count: 3}\n", 1, false, "3"},
		{"machines: {count: 3, app: {count: 1}}\n", 1, false, "1"},
		{"machines: {count: 0}\n", 1, false, "0"},
	}
	for _, row := range table {
		g := translate(t, appOf(t, row.yaml)).Groups[0]
		exact := ""
		if g.Count != nil {
			exact = fmt.Sprint(*g.Count)
		}
		if g.Create != row.create || g.Standby != row.standby || exact != row.exact {
			t.Errorf("%q: got create %d, standby %v, exact %q", row.yaml, g.Create, g.Standby, exact)
		}
	}
}

func TestRegions(t *testing.T) {
	table := map[string]string{
		"":                      "[]",
		"primary_region: ams\n": "[ams]",
		"primary_region: ams\nextra_regions: [fra, ams, arn]\n":          "[ams fra arn]",
		"launch_params: [--region, lhr]\n":                               "[lhr]",
		"primary_region: ams\nlaunch_params: [--region, lhr]\n":          "[ams]",
		"primary_region: ams\ndeploy_params: ['--primary-region=lhr']\n": "[lhr]",
	}
	for yaml, want := range table {
		if got := fmt.Sprint(translate(t, appOf(t, yaml)).Groups[0].Regions); got != want {
			t.Errorf("%q: got %s, want %s", yaml, got, want)
		}
	}
	g := translate(t, appOf(t, "primary_region: ams\nextra_regions: [fra]\nmachines: {count_per_region: {fra: 2, lhr: 9}}\n")).Groups[0]
	if n, exact := g.CountOf("fra"); n != 2 || !exact {
		t.Errorf("fra has %d, exact %v", n, exact)
	}
	if n, exact := g.CountOf("ams"); n != 1 || exact {
		t.Errorf("ams has %d, exact %v", n, exact)
	}
}

func TestGuestsAreLaidOverEachOther(t *testing.T) {
	table := map[string]string{
		"":                          "shared 1 256 open",
		"vm_size: performance-1x\n": "performance 1 2048 set",
		"vm: [{size: shared-cpu-2x, memory: 1gb}]\n":                                 "shared 2 1024 set",
		"vm: [{cpus: 4, processes: [app]}, {cpus: 8}]\n":                             "shared 4 256 set",
		"vm: [{cpus: 4}]\n":                                                          "shared 4 256 set",
		"vm: [{memory: '300'}]\n":                                                    "shared 1 300 set",
		"vm: [{size: shared-cpu-2x}]\nvm_size: performance-1x\n":                     "shared 2 512 set",
		"vm: [{size: shared-cpu-2x}]\nmachines: {cpu_cores: 1}\n":                    "shared 1 512 set",
		"machines: {ram_mb: 512, app: {size: performance-2x}}\n":                     "performance 2 4096 set",
		"machines: {ram_mb: 512, app: {cpu_type: performance}}\n":                    "performance 1 512 set",
		"deploy_params: [--vm-size, performance-1x, --vm-memory, 4gb]\n":             "performance 1 4096 open",
		"vm: [{size: shared-cpu-2x}]\ndeploy_params: ['--vm-size=performance-1x']\n": "shared 2 512 set",
	}
	for yaml, want := range table {
		g := translate(t, appOf(t, yaml)).Groups[0]
		set := map[bool]string{true: "set", false: "open"}[g.GuestSet]
		if (g.Config.Guest != nil) != g.GuestSet {
			t.Errorf("%q: guest %v, set %v", yaml, g.Config.Guest, g.GuestSet)
		}
		if got := fmt.Sprintf("%s %d %d %s", g.NewGuest.CPUKind, g.NewGuest.CPUs, g.NewGuest.MemoryMB, set); got != want {
			t.Errorf("%q: got %s, want %s", yaml, got, want)
		}
	}
}

func TestVolumesTakeTheirSize(t *testing.T) {
	const mount = "mounts: [{source: d, destination: /d%s}]\n"
	table := map[string]int{
		fmt.Sprintf(mount, ""):                                                             1,
		fmt.Sprintf(mount, ", initial_size: 20gb"):                                         20,
		fmt.Sprintf(mount, ", initial_size: '7'"):                                          7,
		fmt.Sprintf(mount, "") + "deploy_params: ['--volume-initial-size=5']\n":            5,
		fmt.Sprintf(mount, ", initial_size: 20gb") + "volumes: [{name: d, size_gb: 30}]\n": 30,
		fmt.Sprintf(mount, "") + "vm: [{size: a10}]\n":                                     100,
	}
	for yaml, want := range table {
		if got := translate(t, appOf(t, yaml)).Volumes; len(got) != 1 || got[0].SizeGB != want || !*got[0].Encrypted {
			t.Errorf("%q: got %+v, want %d GB", yaml, got, want)
		}
	}
}

func TestDefaultAddresses(t *testing.T) {
	const port = "services: [{protocol: tcp, internal_port: 1, ports: [%s]}]\n"
	table := map[string]string{
		"":                                   "",
		"http_service: {internal_port: 1}\n": "shared",
		"http_service: {internal_port: 1}\nnetwork: {ips: [{v: v6}]}\n":                          "",
		fmt.Sprintf(port, "{port: 80, handlers: [http]}"):                                        "shared",
		fmt.Sprintf(port, "{port: 443, handlers: [tls, http]}"):                                  "shared",
		fmt.Sprintf(port, "{port: 443, handlers: [tls]}"):                                        "dedicated",
		fmt.Sprintf(port, "{port: 80}"):                                                          "dedicated",
		fmt.Sprintf(port, "{port: 5432}"):                                                        "dedicated",
		fmt.Sprintf(port, "{start_port: 79, end_port: 81}"):                                      "dedicated",
		"services: [{protocol: udp, internal_port: 1, ports: [{port: 80, handlers: [http]}]}]\n": "dedicated",
	}
	for yaml, want := range table {
		if got := translate(t, appOf(t, yaml)).DefaultIPs; got != want {
			t.Errorf("%q: got %q, want %q", yaml, got, want)
		}
	}
}

func TestWhatHasNoEffectIsSaid(t *testing.T) {
	target := translate(t, appOf(t, `
processes: {web: a, job: b}
files: [{guest_path: /x, raw_value: y, processes: [web]}]
volumes: [{name: idle, size_gb: 1}]
experimental: {auto_rollback: true}
deploy_params: [--smoke-checks=false, --no-cache]
services: [{protocol: tcp, internal_port: 1, processes: [web], http_checks: [{interval: 2m, path: /}]}]
`))
	for _, want := range []string{"files.processes: has no effect", "volumes: idle is not created", "experimental.auto_rollback: has no effect", "deploy_params: --smoke-checks has no effect", "services.ports: are missing", "services.checks.interval: is 2m0s"} {
		if !slices.ContainsFunc(target.Warnings, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("%q lacks %q", target.Warnings, want)
		}
	}
	if len(target.Warnings) != 6 {
		t.Errorf("got warnings %q", target.Warnings)
	}
}

func TestFilesComeFromTheInputs(t *testing.T) {
	app := appOf(t, `
files: [{guest_path: /a, local_path: conf/a}, {guest_path: /s, secret_name: KEY}, {guest_path: /a, local_path: conf/b}]
machine_config: '{"containers":[{"name":"x","files":[{"guest_path":"/c","local_path":"c"}]}]}'
`)
	if got := fmt.Sprint(machine.FilesOf(app)); got != "[conf/a conf/b c]" {
		t.Errorf("it wants %s", got)
	}
	target, err := machine.Translate(app, machine.Inputs{Files: map[string][]byte{"conf/a": []byte("A"), "conf/b": []byte("B"), "c": []byte("C")}})
	if err != nil {
		t.Fatal(err)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	if f := target.Files; len(f) != 2 || *f[0].RawValue != b64("B") || *f[1].SecretName != "KEY" {
		t.Errorf("files are %+v", f)
	}
	if c := target.Groups[0]; c.Container != "x" || *c.Config.Containers[0].Files[0].RawValue != b64("C") {
		t.Errorf("container is %+v", c)
	}
	app.MachineConfig = "m.json"
	if got := fmt.Sprint(machine.FilesOf(app)); got != "[conf/a conf/b m.json]" {
		t.Errorf("it wants %s", got)
	}
}

// FuzzMachineConfig feeds text that comes out of repositories.
func FuzzMachineConfig(f *testing.F) {
	f.Add(`{"containers":[null,{"name":"a","files":[null,{"local_path":"x"}]}]}`, "--ha=x\n--env\n-e\n=")
	f.Add(`{"guest":{},"metadata":null,"checks":{"a":null}}`, "")
	f.Fuzz(func(t *testing.T, config, params string) {
		app := &manifest.App{Name: "a", MachineConfig: config, DeployParams: strings.Split(params, "\n"), Processes: map[string]string{"app": params}}
		machine.FilesOf(app)
		if target, err := machine.Translate(app, machine.Inputs{}); err == nil && len(target.Groups) != 1 {
			t.Fatal("a group is lost")
		}
	})
}
