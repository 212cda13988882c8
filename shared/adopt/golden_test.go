package adopt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/adopt"
	"github.com/gigurra/flycd/shared/plan"
)

// recorded is what the real flyctl left on Fly at the end of one case.
type recorded struct {
	App, Org string
	Machines []json.RawMessage
	Volumes  []flygo.Volume
	IPs      []struct {
		IP, Region string
		Shared     bool
	}
	Release *struct {
		Version    int
		Definition json.RawMessage
	}
}

func observe(t *testing.T, file string) (plan.Observed, *adopt.Release) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	o := plan.Observed{Exists: true, App: r.App, Org: r.Org, Volumes: r.Volumes}
	for _, raw := range r.Machines {
		var m struct{ Config json.RawMessage }
		machine := &flygo.Machine{}
		if json.Unmarshal(raw, machine) != nil || json.Unmarshal(raw, &m) != nil {
			t.Fatalf("read %s", raw)
		}
		o.Machines = append(o.Machines, plan.Machine{Machine: machine, Raw: m.Config})
	}
	for _, ip := range r.IPs {
		o.IPs = append(o.IPs, plan.IP{Address: ip.IP, Region: ip.Region, Shared: ip.Shared})
	}
	if r.Release == nil {
		return o, nil
	}
	return o, &adopt.Release{Version: r.Release.Version, Definition: r.Release.Definition}
}

func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/flyctl/*.json")
	if err != nil || len(files) < 19 {
		t.Fatalf("there should be 19 cases: %d %v", len(files), err)
	}
	return files
}

// nothingRuns are the cases in which flyctl deployed nothing.
var nothingRuns = map[string]bool{"28-invalid-port": true}

// TestWhatFlyctlDeployedIsAdoptedWithoutAChange adopts each recorded app, from its release and from its
// machines alone.
func TestWhatFlyctlDeployedIsAdoptedWithoutAChange(t *testing.T) {
	for _, file := range goldenFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if nothingRuns[name] {
			continue
		}
		for _, from := range []string{"release", "machines"} {
			t.Run(name+"/"+from, func(t *testing.T) {
				o, last := observe(t, file)
				if from == "machines" {
					last = nil
				}
				d, err := adopt.DraftOf(o, last)
				if err != nil {
					t.Fatal(err)
				}
				if !d.Plan.Empty() {
					t.Errorf("the plan is not empty:\n%s\n%s", strings.Join(d.Plan.Summary(), "\n"), d.YAML)
				}
				if testing.Verbose() {
					t.Logf("\n%s", d.YAML)
				}
			})
		}
	}
}
