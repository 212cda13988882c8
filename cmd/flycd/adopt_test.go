package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// recorded is what the real flyctl left on Fly at the end of one recorded case.
type recorded struct {
	App      string
	Machines []struct {
		ID, Name, Region, State string
		Config                  map[string]any
	}
	Volumes []struct {
		ID, Name, Region  string
		SizeGB            int  `json:"size_gb"`
		SnapshotRetention int  `json:"snapshot_retention"`
		Encrypted         bool `json:"encrypted"`
	}
	IPs []struct {
		IP     string
		Shared bool
	}
	Release *struct {
		Definition json.RawMessage
		Strategy   string
		Image      string `json:"image_ref"`
	}
}

// goldenDir holds what the real flyctl left on Fly in each recorded case.
const goldenDir = "../../shared/adopt/testdata/flyctl"

// flyctl CASE…: brings about on the simulated Fly what flyctl had deployed there.
func replayFlyctl(ts *testscript.TestScript, _ bool, cases []string) {
	for _, name := range cases {
		raw, err := os.ReadFile(filepath.Join(goldenDir, name+".json"))
		ts.Check(err)
		var r recorded
		ts.Check(json.Unmarshal(raw, &r))
		r.replay(ts)
	}
}

func (r recorded) replay(ts *testscript.TestScript) {
	fly := worldOf(ts).FlyURL
	app := fly + "/v1/apps/" + r.App
	ask(ts, http.MethodPost, fly+"/v1/apps", map[string]any{"name": r.App, "org_slug": "personal"})
	ids := []string{}
	add := func(kind, was string, in any) string {
		var made struct{ ID string }
		ts.Check(json.Unmarshal(ask(ts, http.MethodPost, app+"/"+kind, in), &made))
		ids = append(ids, `"`+was+`"`, `"`+made.ID+`"`)
		return made.ID
	}
	for _, v := range r.Volumes {
		add("volumes", v.ID, map[string]any{"name": v.Name, "region": v.Region, "size_gb": v.SizeGB, "snapshot_retention": v.SnapshotRetention, "encrypted": v.Encrypted})
	}
	for _, m := range r.Machines {
		config, err := json.Marshal(m.Config)
		ts.Check(err)
		config = []byte(strings.NewReplacer(ids...).Replace(string(config)))
		standby := m.Config["standbys"] != nil
		id := add("machines", m.ID, map[string]any{"name": m.Name, "region": m.Region, "config": json.RawMessage(config), "skip_launch": standby})
		if m.State == "stopped" && !standby {
			ask(ts, http.MethodPost, app+"/machines/"+id+"/stop", map[string]any{})
		}
	}
	for _, ip := range r.IPs {
		kind := map[bool]string{true: "shared_v4", false: "v6"}[ip.Shared]
		ask(ts, http.MethodPost, app+"/ip_assignments", map[string]any{"type": kind})
	}
	if r.Release == nil {
		return
	}
	var made struct{ Release struct{ ID string } }
	ts.Check(json.Unmarshal(ask(ts, http.MethodPost, fly+"/api/v1/releases", map[string]any{
		"app_name": r.App, "definition": r.Release.Definition, "image": r.Release.Image, "strategy": r.Release.Strategy,
	}), &made))
	ask(ts, http.MethodPatch, fly+"/api/v1/releases/"+made.Release.ID, map[string]any{"status": "complete"})
}

// secret APP NAME VALUE sets a secret, as somebody with flyctl would.
func setSecret(ts *testscript.TestScript, _ bool, args []string) {
	ask(ts, http.MethodPost, worldOf(ts).FlyURL+"/v1/apps/"+args[0]+"/secrets", map[string]any{"values": map[string]string{args[1]: args[2]}})
}

// norelease makes Fly forbid to look at releases, as it does for some tokens.
func forbidReleases(ts *testscript.TestScript, _ bool, _ []string) {
	ask(ts, http.MethodPut, worldOf(ts).FlyURL+"/_sim/faults", []any{map[string]any{
		"match": map[string]any{"path": "/graphql", "body": "releasesUnprocessed"}, "do": map[string]any{"status": http.StatusForbidden},
	}})
}

// cert APP HOSTNAME asks for a certificate, as somebody with flyctl would.
func addCert(ts *testscript.TestScript, _ bool, args []string) {
	ask(ts, http.MethodPost, worldOf(ts).FlyURL+"/v1/apps/"+args[0]+"/certificates/acme", map[string]any{"hostname": args[1]})
}

// TestAdoptedPlanIsEmpty adopts each app that the real flyctl deployed in the recordings, as YAML and as
// TOML: what is written is valid, and a plan of it is empty.
func TestAdoptedPlanIsEmpty(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.json"))
	if err != nil || len(files) < 19 {
		t.Fatalf("there should be 19 cases: %d %v", len(files), err)
	}
	dir := t.TempDir()
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		app := "app" + name[:2]
		lines := []string{
			"flyctl " + name, "exits 0 flycd adopt " + app,
			"exits 0 flycd validate " + app, "exits 0 flycd plan " + app + " --exit-code", "stdout 'nothing to do'",
			"exits 0 flycd adopt " + app + " --dir toml --toml", "exits 0 flycd validate toml/fly.toml",
			"exits 0 flycd plan toml/fly.toml --exit-code", "stdout 'nothing to do'",
		}
		if name == "28-invalid-port" { // flyctl deployed nothing
			lines = []string{"flyctl " + name, "mistake 2 flycd adopt " + app, "stderr 'nothing to describe'"}
		}
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, Cmds: scriptCommands(),
		Setup: func(env *testscript.Env) error { return surround(t, env) },
	})
}
