package machine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestAddonsHaveNamesAndSecrets(t *testing.T) {
	got := translate(t, appOf(t, `
primary_region: ams
secrets: [{name: CACHE, type: env}]
secrets_prune: true
certs: [{hostname: WWW.Example.com}, {hostname: '*.example.com'}]
sync: {prune: true, ignore: [machines.count]}
addons:
  - {type: postgres}
  - {type: tigris, name: bucket, region: fra}
  - {type: redis, url_secret: CACHE}
  - {type: redis, name: second, secret: SECOND_URL, plan: big}
`))
	want := []machine.Addon{
		{Type: "postgres", Name: "shop-postgres", Region: "ams", Secret: "DATABASE_URL"},
		{Type: "tigris", Name: "bucket", Region: "fra"},
		{Type: "redis", Secret: "REDIS_URL", From: "CACHE"},
		{Type: "redis", Name: "second", Region: "ams", Secret: "SECOND_URL", Plan: "big"},
	}
	if diff := cmp.Diff(want, got.Addons); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	own := fmt.Sprint(got.Secrets, got.PruneSecrets, got.Certs, got.Prune, got.Ignore)
	if want := "[CACHE] true [*.example.com www.example.com] true [machines.count]"; own != want {
		t.Errorf("got %s, want %s", own, want)
	}
}

func TestSchedulesAreGroupsOfOneMachine(t *testing.T) {
	got := translate(t, appOf(t, `
primary_region: ams
kill_timeout: 5
env: {A: 1, B: 2}
experimental: {entrypoint: /e}
vm: [{size: shared-cpu-2x}]
schedules:
  - {name: report, command: "bin/report 'all of it'", every: daily, env: {B: 3}, region: fra, vm: {memory: 1gb}}
  - {name: clean, command: bin/clean, every: hourly}
`)).Schedules
	if len(got) != 2 || got[0].Name != "clean" || got[1].Name != "report" {
		t.Fatalf("got %+v", got)
	}
	want := `{"env":{"A":"1","B":"3","PRIMARY_REGION":"ams"},"guest":{"cpu_kind":"shared","cpus":1,"memory_mb":1024},` +
		`"init":{"cmd":["bin/report","all of it"],"entrypoint":["/e"]},"metadata":{"flycd_schedule":"report"},` +
		`"restart":{"policy":"no"},"schedule":"daily","stop_config":{"timeout":"5s"}}`
	if text := compact(t, got[1].Config); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	clean := got[0]
	if !clean.GuestSet || clean.Config.Guest == nil || clean.Config.Guest.CPUs != 2 || fmt.Sprint(clean.Regions, *clean.Count, clean.Schedule) != "[ams] 1hourly" {
		t.Errorf("got %+v", clean)
	}
	// where nobody says a size, each machine keeps its own
	open := translate(t, appOf(t, `
primary_region: ams
schedules: [{name: clean, command: bin/clean, every: hourly}]
`)).Schedules[0]
	if open.GuestSet || open.Config.Guest != nil || open.NewGuest.CPUs != 1 {
		t.Errorf("got %+v", open)
	}
}

// TestCommandsAreFlyctls shows the machines of commands as flyctl makes them (FLYCTL c.8 is its rule).
func TestCommandsAreFlyctls(t *testing.T) {
	got := translate(t, appOf(t, `
kill_signal: SIGTERM
deploy: {release_command: bin/migrate, seed_command: bin/seed --all, release_command_vm: {size: performance-1x}}
env: {A: 1}
processes: {web: a, job: b}
http_service: {internal_port: 1, processes: [web], machine_checks: [{command: [up]}]}
services: [{protocol: tcp, internal_port: 2, processes: [job], machine_checks: [{image: curl, command: [c], entrypoint: [sh], kill_timeout: 3}]}]
machine_checks: [{command: [all], kill_signal: SIGKILL}]
`))
	release := `{"auto_destroy":true,"dns":{"skip_registration":true},"env":{"A":"1","FLY_PROCESS_GROUP":"fly_app_release_command","RELEASE_COMMAND":"1"},` +
		`"guest":{"cpu_kind":"performance","cpus":1,"memory_mb":2048},"init":{"cmd":["%s"]},` +
		`"metadata":{"fly_platform_version":"v2","fly_process_group":"fly_app_release_command"},"restart":{"policy":"no"},"stop_config":{"signal":"SIGTERM"}}`
	if text, want := compact(t, got.ReleaseCommand), fmt.Sprintf(release, "bin/migrate"); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if text, want := compact(t, got.SeedCommand), fmt.Sprintf(release, `bin/seed","--all`); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	const check = `{"auto_destroy":true,"dns":{"skip_registration":true},"env":{"A":"1","FLY_PROCESS_GROUP":"fly_app_test_machine_command","FLY_TEST_COMMAND":"1"},` +
		`%s,"metadata":{"fly_platform_version":"v2","fly_process_group":"fly_app_test_machine_command"},"restart":{"policy":"no"},%s}`
	var seen []string
	for _, c := range got.Checks {
		seen = append(seen, c.Group+" "+compact(t, c.Config))
	}
	all := fmt.Sprintf(check, `"init":{"cmd":["all"]}`, `"stop_config":{"signal":"SIGKILL"}`)
	want := []string{
		"job " + fmt.Sprintf(check, `"image":"curl","init":{"cmd":["c"],"entrypoint":["sh"]}`, `"stop_config":{"timeout":"3s"}`),
		"job " + all,
		"web " + fmt.Sprintf(check, `"init":{"cmd":["up"]}`, `"stop_config":{"signal":"SIGTERM"}`),
		"web " + all,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandsAreSizedLikeTheLargestSibling(t *testing.T) {
	guest := func(cpus, mb int) *flygo.MachineGuest {
		return &flygo.MachineGuest{CPUKind: "shared", CPUs: cpus, MemoryMB: mb}
	}
	siblings := []*flygo.MachineGuest{nil, guest(1, 256), guest(8, 4096), guest(4, 4096)}
	for _, row := range []struct {
		yaml     string
		siblings []*flygo.MachineGuest
		want     string
	}{
		{"", nil, "shared-cpu-2x 512 "},
		{"vm: [{size: performance-1x}]\n", nil, "shared-cpu-2x 512 "},
		{"deploy_params: [--vm-size, performance-1x]\n", nil, "performance-1x 2048 "},
		{"deploy_params: [--vm-size, shared-cpu-1x]\n", nil, "shared-cpu-2x 512 "},
		{"deploy_params: [--vm-size, performance-1x]\n", siblings, "shared-cpu-8x 4096 "},
		{"host_dedication_id: hd\n", siblings, "shared-cpu-8x 4096 hd"},
		{"host_dedication_id: hd\n", nil, "shared-cpu-2x 512 hd"},
	} {
		g := translate(t, appOf(t, row.yaml)).GuestOfCommand(row.siblings)
		if got := fmt.Sprint(g.ToSize(), " ", g.MemoryMB, " ", g.HostDedicationID); got != row.want {
			t.Errorf("%q: got %s, want %s", row.yaml, got, row.want)
		}
	}
}

func TestEgressAddressesComeInPairs(t *testing.T) {
	got := translate(t, appOf(t, `
primary_region: ams
http_service: {internal_port: 1}
network: {ips: [{v: v4, egress: true}, {v: v6, egress: true}, {egress: true, region: fra}]}
`))
	want := []machine.IP{{Type: "egress", Region: "ams"}, {Type: "egress", Region: "fra"}}
	if diff := cmp.Diff(want, got.IPs); diff != "" || got.DefaultIPs != "shared" {
		t.Errorf("default %q (-want +got):\n%s", got.DefaultIPs, diff)
	}
	for _, ip := range []manifest.IP{{Egress: true}, {Egress: true, Region: "ams", Shared: true}} {
		_, err := machine.Translate(&manifest.App{Name: "a", Network: manifest.Network{IPs: []manifest.IP{ip}}}, machine.Inputs{})
		if err == nil || !strings.Contains(err.Error(), "network.ips.") {
			t.Errorf("%+v gives %v", ip, err)
		}
	}
}

// compact gives a config as JSON with sorted keys, without what fly-go always writes.
func compact(t *testing.T, config *flygo.MachineConfig) string {
	t.Helper()
	return text(t, plain(t, config))
}
