//go:build flyctl

package flysim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// These tests want a flyctl on the PATH. Each deploy takes ten seconds, for that is how long flyctl watches a
// machine: go test -tags flyctl -run RealFlyctl ./shared/fly/flysim

// flyctl runs a command of the real flyctl in dir and gives what it says.
func flyctl(t *testing.T, url, dir, line string) string {
	t.Helper()
	program, err := exec.LookPath("flyctl")
	need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strings.Fields(line)...)
	nowhere := "http://127.0.0.1:9"
	cmd.Dir, cmd.Env = dir, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "FLY_CONFIG_DIR=" + filepath.Join(dir, ".fly"), "FLY_API_TOKEN=secret", "CI=1", "NO_COLOR=1",
		"FLY_API_BASE_URL=" + url, "FLY_FLAPS_BASE_URL=" + url, "FLY_UIEX_BASE_URL=" + url, "FLY_NO_UPDATE_CHECK=1", "FLY_NO_INCIDENTS_CHECK=1",
		"FLY_SEND_METRICS=0", "FLY_SYNTHETICS_AGENT=0", "FLY_METRICS_BASE_URL=" + nowhere, "FLY_SYNTHETICS_BASE_URL=" + nowhere, "HTTPS_PROXY=" + nowhere,
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("flyctl %s: %v\n%s", line, err, text)
	}
	return string(text)
}

func folder(t *testing.T, toml string) string {
	t.Helper()
	dir := t.TempDir()
	need(t, os.WriteFile(filepath.Join(dir, "fly.toml"), []byte(toml), 0o600))
	return dir
}

const demoToml = `app = "demo"
primary_region = "ams"
[env]
GREETING = "hi"
[http_service]
internal_port = 8080
[[http_service.checks]]
interval = "5s"
timeout = "2s"
path = "/"
`

func TestRealFlyctlWorksHere(t *testing.T) {
	s, url := start(t, flysim.Options{})
	dir := folder(t, demoToml)
	for _, tc := range []struct{ line, says string }{
		{"apps create demo --org personal", "New app created: demo"},
		{"deploy --image nginx:1.27 --ha=false --dns-checks=false --remote-only", "Visit your newly deployed app"},
		{"status", "1 total, 1 passing"},
		{"scale count 2 --yes", "Created"},
		{"scale vm shared-cpu-1x --memory 512", "512 MB"},
		{"secrets set KEY=value --stage", "staged"},
		{"secrets list", "Staged"},
		{"secrets unset KEY --stage", "staged"},
		{"volumes create data --region ams --size 1 --yes", "Encrypted: true"},
		{"volumes list", "data"},
		{"ips list", "public ingress (shared)"},
		{"ips allocate-v6", "public ingress (dedicated)"},
		{"certs add www.example.com", "Certificate created"},
		{"certs list", "Not verified"},
		{"certs show www.example.com", "Not verified"},
		{"certs check www.example.com", "Not verified"},
		{"machine list", "shared-cpu-1x:512MB"},
		{"machine run nginx:1.27 --region ams --name extra", "Machine started"},
		{"releases", "complete"},
		{"config show", `"GREETING": "hi"`},
		{"config save --yes", "Wrote config file"},
		{"image show", "library/nginx"},
		{"redis create --name cache --region ams --no-replicas --disable-eviction --enable-prodpack=false --org personal", "is ready"},
		{"storage create --name files --org personal --yes", "files"},
		{"apps list", "deployed"},
	} {
		if got := flyctl(t, url, dir, tc.line); !strings.Contains(got, tc.says) {
			t.Errorf("flyctl %s says\n%s\nwant %q", tc.line, got, tc.says)
		}
	}
	for _, m := range s.State().Apps[0].Machines {
		at := flyctl(t, url, dir, "machine status "+m.ID)
		if !strings.Contains(at, m.ID) {
			t.Errorf("machine status says %s", at)
		}
	}
	if a := s.State(); len(a.Addons) != 2 || len(a.Apps[0].Machines) != 3 {
		t.Errorf("in the end there are %d add-ons and %d machines, want 2 and 3", len(a.Addons), len(a.Apps[0].Machines))
	}
}

// TestRealFlyctlLeavesSchedulesAlone holds what schedules rely on: flyctl's deploy touches the machines of
// process groups and no other, and what it does not know in their metadata stays.
func TestRealFlyctlLeavesSchedulesAlone(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "demo")
	image := "docker-hub-mirror.fly.io/library/nginx:1.27"
	web := config(image)
	web.Metadata["flycd_digest"], web.Metadata["flycd_secrets"] = "abc", "KEY=1.2"
	web.Env = map[string]string{"GREETING": "hi", "FLYCD_APP_VERSION": "1", "FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ams"}
	m := launch(t, c, "demo", flygo.LaunchMachineInput{Name: "demo-app-ams-0", Config: web})
	report := command(image, "report")
	report.AutoDestroy, report.Schedule, report.Metadata = false, "hourly", map[string]string{"flycd_schedule": "report", "flycd_app": "demo"}
	launch(t, c, "demo", flygo.LaunchMachineInput{Name: "demo-report-ams-0", Config: report, SkipLaunch: true})
	s.Advance(time.Minute)
	before := raw2(t, machineIn(t, s, "demo-report-ams-0"))

	flyctl(t, url, folder(t, demoToml), "deploy --image nginx:1.27 --ha=false --dns-checks=false --remote-only --no-public-ips")

	if after := raw2(t, machineIn(t, s, "demo-report-ams-0")); string(after) != string(before) {
		t.Errorf("the schedule was\n%s\nand is\n%s", before, after)
	}
	got := decode[flygo.MachineConfig](t, machineIn(t, s, m.ID).Config)
	for _, key := range []string{"flycd_digest", "flycd_secrets"} {
		if got.Metadata[key] != web.Metadata[key] {
			t.Errorf("metadata %s is %q, was %q", key, got.Metadata[key], web.Metadata[key])
		}
	}
	if got.Metadata["fly_release_version"] != "1" || got.Env["FLYCD_APP_VERSION"] != "" || got.Env["GREETING"] != "hi" || got.Image != image {
		t.Errorf("flyctl deployed %s", raw2(t, got))
	}
	if status, text := raw(t, http.MethodGet, url+"/api/v1/apps/demo/releases/current", ""); status != http.StatusOK || !json.Valid([]byte(text)) || !strings.Contains(text, `"status":"complete"`) {
		t.Errorf("release %d %s", status, text)
	}
}
