package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// take writes a step down as flyctl's bodies have it.
func (r *recording) take(t *testing.T, step plan.Step) {
	t.Helper()
	switch s := step.(type) {
	case plan.AllocateIP:
		r.IPs = append(r.IPs, s.IP.Type)
	case plan.CreateVolume:
		v := s.Volume
		r.Volumes = append(r.Volumes, sentVolume{v.Name, s.Region, v.SizeGB, v.Encrypted, v.SnapshotRetention, v.ScheduledSnapshots})
	case plan.CreateMachine:
		r.Creates = append(r.Creates, sent{Machine: s.Name, Config: sentConfig(t, s), Region: s.Region, SkipLaunch: s.SkipLaunch})
	case plan.RunCommand:
		r.Creates = append(r.Creates, sent{Config: object(t, s.Config), Region: s.Region, SkipLaunch: true})
	case plan.CreateApp:
	default:
		t.Errorf("a first deploy has a step %s", plan.Line(step))
	}
}

// sentConfig is the config with what the one who applies the step fills in.
func sentConfig(t *testing.T, s plan.CreateMachine) map[string]any {
	t.Helper()
	config := object(t, s.Config)
	if s.StandbyFor != "" {
		config["standbys"] = []any{s.StandbyFor}
		config["env"].(map[string]any)["FLY_STANDBY_FOR"] = s.StandbyFor
	}
	if s.Volume != "" {
		config["mounts"].([]any)[0].(map[string]any)["volume"] = "vol_1"
	}
	return config
}

func compareCreates(t *testing.T, want, got []sent) {
	t.Helper()
	keyed := func(all []sent) map[string]int {
		out := map[string]int{}
		for _, s := range all {
			s.Config = withoutStamps(s.Config)
			if _, ok := s.Config["standbys"]; ok {
				s.Config["standbys"], s.Config["env"].(map[string]any)["FLY_STANDBY_FOR"] = "first", "first"
			}
			raw, err := json.MarshalIndent(map[string]any{"config": s.Config, "region": s.Region, "skip_launch": s.SkipLaunch}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			out[string(raw)]++
		}
		return out
	}
	if diff := cmp.Diff(keyed(want), keyed(got)); diff != "" {
		t.Errorf("machines (-flyctl +ours):\n%s", diff)
	}
}

// withoutStamps leaves out what MANIFEST.md says is not to be equal: the image's form, release and
// version stamps, FlyCD's own names.
func withoutStamps(config map[string]any) map[string]any {
	raw, _ := json.Marshal(config)
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	if s, ok := out["image"].(string); ok {
		out["image"], _, _ = strings.Cut(s, "@")
	}
	for _, c := range asList(out["containers"]) {
		c := c.(map[string]any)
		c["image"], _, _ = strings.Cut(c["image"].(string), "@")
	}
	for _, section := range []string{"metadata", "env"} {
		m, _ := out[section].(map[string]any)
		for key := range m {
			if strings.HasPrefix(key, "fly_release") || key == "fly_flyctl_version" || strings.HasPrefix(strings.ToLower(key), "flycd_") {
				delete(m, key)
			}
		}
	}
	for _, s := range asList(out["services"]) {
		delete(s.(map[string]any), "force_instance_key")
	}
	return out
}

func asList(v any) []any { l, _ := v.([]any); return l }

func object(t *testing.T, config *flygo.MachineConfig) map[string]any {
	t.Helper()
	out, err := machine.Plain(config)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func bare(t *testing.T, raw json.RawMessage) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	delete(out["env"].(map[string]any), "FLY_STANDBY_FOR") // kept here, lost by flyctl
	return out
}
