package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// command is what flyctl makes of a release command.
func command(image string, argv ...string) *flygo.MachineConfig {
	return &flygo.MachineConfig{
		Image: image, AutoDestroy: true, Restart: &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo}, Init: flygo.MachineInit{Cmd: argv},
		Metadata: map[string]string{"fly_process_group": "fly_app_release_command", "fly_platform_version": "v2"},
	}
}

// exitCode is how the newest exit went, as flyctl reads it.
func exitCode(t *testing.T, m *flygo.Machine) int {
	t.Helper()
	e := m.GetLatestEventOfType("exit")
	if e == nil || e.Request == nil {
		t.Fatalf("machine %s has no exit event: %+v", m.ID, m.Events)
	}
	code, err := e.Request.GetExitCode()
	need(t, err)
	return code
}

// web is fly-go's client of the other APIs. Its logs know only the one base URL of the package.
func web(url string) *flygo.Client {
	flygo.SetBaseURL(url)
	return flygo.NewClientFromOptions(flygo.ClientOptions{BaseURL: url, AccessToken: "secret"})
}

func TestCommandMachineIsGoneWithItsExitCode(t *testing.T) {
	_, url := start(t, flysim.Options{
		Images: map[string]flysim.Behavior{"bad:1": {Exit: ptr(3), Output: []string{"migrating", "no such table"}}},
		Exec:   map[string][]string{"real": {"/bin/sh", "-c", "sleep 60"}},
	})
	c := newApp(t, url, "rel")
	for _, tc := range []struct {
		image string
		argv  []string
		code  int
		says  string
	}{
		{"good:1", []string{"migrate"}, 0, "Main child exited normally with code: 0"},
		{"bad:1", []string{"migrate"}, 3, "no such table"},
		{"real:1", []string{"/bin/sh", "-c", "echo from the host; exit 7"}, 7, "from the host"},
	} {
		m := launch(t, c, "rel", flygo.LaunchMachineInput{Config: command(tc.image, tc.argv...), SkipLaunch: true})
		waitFor(t, c, "rel", m.ID, "stopped")
		_, err := c.Start(t.Context(), "rel", m.ID, "")
		need(t, err)
		waitFor(t, c, "rel", m.ID, "destroyed")
		if got := exitCode(t, get(t, c, "rel", m.ID)); got != tc.code {
			t.Errorf("%s ended with %d, want %d", tc.image, got, tc.code)
		}
		status, text := raw(t, http.MethodGet, url+"/v1/apps/rel/machines?include_deleted=true", "")
		if status != 200 || !strings.Contains(text, m.ID) {
			t.Errorf("a list of all machines lacks the destroyed %s: %d %s", m.ID, status, text)
		}
		lines, _, err := web(url).GetAppLogs(t.Context(), "rel", "", "", m.ID)
		need(t, err)
		said := ""
		for _, l := range lines {
			said += l.Message + "\n"
			if l.Instance != m.ID || l.Region != "ams" || l.Timestamp == "" {
				t.Errorf("line %+v", l)
			}
		}
		if !strings.Contains(said, tc.says) {
			t.Errorf("the log of %s says %q, want %q", tc.image, said, tc.says)
		}
	}
}

func TestLogsGoOnWhereTheTokenSays(t *testing.T) {
	s, url := start(t, flysim.Options{Images: map[string]flysim.Behavior{"talks": {Output: []string{"one", "two"}}}})
	c := newApp(t, url, "logs")
	m := launch(t, c, "logs", flygo.LaunchMachineInput{Config: config("talks")})
	waitFor(t, c, "logs", m.ID, "started")
	first, token, err := web(url).GetAppLogs(t.Context(), "logs", "", "", "")
	need(t, err)
	if len(first) != 2 || first[0].Message != "one" || token == "" {
		t.Errorf("first page %+v, token %q", first, token)
	}
	next, same, err := web(url).GetAppLogs(t.Context(), "logs", token, "", m.ID)
	need(t, err)
	if len(next) != 0 || same != token {
		t.Errorf("nothing new, yet %+v and token %q after %q", next, same, token)
	}
	control(t, http.MethodPost, url+"/_sim/machines/"+m.ID+"/exit", `{"code":1}`)
	s.Advance(time.Minute)
	next, _, err = web(url).GetAppLogs(t.Context(), "logs", token, "ams", m.ID)
	need(t, err)
	if len(next) < 3 || !strings.Contains(next[0].Message, "exited with code: 1") || next[1].Message != "one" {
		t.Errorf("after the crash %+v", next)
	}
	if status, text := raw(t, http.MethodGet, url+"/api/v1/apps/logs/logs?next_token=x", ""); status != 400 {
		t.Errorf("a bad token: %d %s", status, text)
	}
}

func TestScheduleStartsByTheClock(t *testing.T) {
	s, url := start(t, flysim.Options{})
	s.Freeze()
	c := newApp(t, url, "cron")
	cfg := command("report:1", "report")
	cfg.AutoDestroy, cfg.Schedule = false, "hourly"
	m := launch(t, c, "cron", flygo.LaunchMachineInput{Config: cfg, SkipLaunch: true})
	starts := func(after time.Duration, want int) {
		t.Helper()
		s.Advance(after)
		if got := machineIn(t, s, m.ID); got.Launches != want || got.State != "stopped" {
			t.Errorf("%d starts and %s, want %d and stopped", got.Launches, got.State, want)
		}
	}
	starts(59*time.Minute, 0)
	starts(2*time.Minute, 1)
	starts(3*time.Hour, 4)
	cfg.Schedule = "daily"
	_, err := c.Update(t.Context(), "cron", flygo.LaunchMachineInput{ID: m.ID, Region: "ams", Config: cfg, SkipLaunch: true}, "")
	need(t, err)
	starts(23*time.Hour, 4)
	starts(2*time.Hour, 5)
	cfg.Schedule = ""
	_, err = c.Update(t.Context(), "cron", flygo.LaunchMachineInput{ID: m.ID, Region: "ams", Config: cfg, SkipLaunch: true}, "")
	need(t, err)
	starts(72*time.Hour, 5)
}

func TestMachineHasTheSecretsThatItWasGiven(t *testing.T) {
	s, url := start(t, flysim.Options{Lag: flysim.Lag{Secrets: time.Minute}})
	s.Freeze()
	c := newApp(t, url, "sec")
	res, err := c.UpdateAppSecrets(t.Context(), "sec", map[string]*string{"A": ptr("1")})
	need(t, err)
	in := flygo.LaunchMachineInput{Region: "ams", Config: config("nginx"), MinSecretsVersion: &res.Version}
	_, err = c.Launch(t.Context(), "sec", in)
	wantStatus(t, err, http.StatusPreconditionFailed, "min_secrets_version 1 is not yet available")
	s.Advance(time.Minute)
	m := launch(t, c, "sec", in)
	has := func(want uint64) {
		t.Helper()
		if got := machineIn(t, s, m.ID).SecretsVersion; got != want {
			t.Errorf("the machine has version %d of the secrets, want %d", got, want)
		}
	}
	has(1)
	res, err = c.UpdateAppSecrets(t.Context(), "sec", map[string]*string{"A": nil, "B": ptr("2")})
	need(t, err)
	s.Advance(time.Minute)
	need(t, c.Restart(t.Context(), "sec", flygo.RestartMachineInput{ID: m.ID}, ""))
	s.Advance(time.Minute)
	has(1)
	in.ID, in.MinSecretsVersion = m.ID, nil
	_, err = c.Update(t.Context(), "sec", in, "")
	need(t, err)
	has(1)
	in.MinSecretsVersion = &res.Version
	_, err = c.Update(t.Context(), "sec", in, "")
	need(t, err)
	has(2)
}

func TestReleasesAreListedNewestFirst(t *testing.T) {
	_, url := start(t, flysim.Options{})
	newApp(t, url, "rels")
	if status, _ := raw(t, http.MethodGet, url+"/api/v1/apps/rels/releases/current", ""); status != http.StatusNotFound {
		t.Errorf("the current release of an app without any: %d", status)
	}
	ids := []string{}
	for _, strategy := range []string{"ROLLING", "bluegreen"} {
		status, text := raw(t, http.MethodPost, url+"/api/v1/releases", `{"app_name":"rels","definition":{"app":"rels"},"image":"i","strategy":"`+strategy+`"}`)
		made := decode[struct{ Release struct{ ID string } }](t, []byte(text))
		if status != http.StatusCreated || made.Release.ID == "" {
			t.Fatalf("%d %s", status, text)
		}
		ids = append(ids, made.Release.ID)
		status, text = raw(t, http.MethodPatch, url+"/api/v1/releases/"+made.Release.ID, `{"status":"complete"}`)
		if status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	type view struct {
		ID, Strategy, Status, User string
		Version                    int
		Stable                     bool
	}
	_, text := raw(t, http.MethodGet, url+"/api/v1/apps/rels/releases?limit=5", "")
	list := decode[struct{ Releases []view }](t, []byte(text)).Releases
	if len(list) != 2 || list[0].ID != ids[1] || list[0].Version != 2 || list[0].Strategy != "BLUEGREEN" || !list[0].Stable || list[1].Version != 1 {
		t.Errorf("releases %+v", list)
	}
	_, text = raw(t, http.MethodGet, url+"/api/v1/apps/rels/releases/current", "")
	if got := decode[view](t, []byte(text)); got.ID != ids[1] {
		t.Errorf("current %+v", got)
	}
	_, text = raw(t, http.MethodGet, url+"/api/v1/releases/all_current", "")
	if got := decode[map[string]time.Time](t, []byte(text)); got["rels"].IsZero() {
		t.Errorf("all current %s", text)
	}
	for body, want := range map[string]int{`{"status":"done"}`: 422, `[`: 400} {
		if status, text := raw(t, http.MethodPatch, url+"/api/v1/releases/"+ids[0], body); status != want {
			t.Errorf("%s: %d %s, want %d", body, status, text, want)
		}
	}
}
