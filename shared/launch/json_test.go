package launch

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

const anID = "abcdefghijklmnopqrstuvwxyz"

// TestRequestIsFlyGos holds our small structs equal to fly-go's.
func TestRequestIsFlyGos(t *testing.T) {
	deadline := time.Date(2026, 8, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	l := &Launcher{App: "runners", Image: "registry.fly.io/runners:1", Region: "arn", Size: "shared-cpu-2x:1GB", Env: map[string]string{"FLYCD_LOG": "json"}}
	ours, err := l.request(Runner{Job: job.Job{ID: anID}, Attempt: 3, Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	signal, timeout := "SIGTERM", flygo.Duration{Duration: 5 * time.Minute}
	theirs := flygo.LaunchMachineInput{
		Name:   "r-" + anID + "-3",
		Region: "arn",
		Config: &flygo.MachineConfig{
			Image: "registry.fly.io/runners:1",
			Env: map[string]string{
				"FLYCD_JOB": anID, "FLYCD_ATTEMPT": "3", "FLYCD_DEADLINE": "2026-08-01T11:00:00Z", "FLYCD_LOG": "json",
			},
			Guest:       &flygo.MachineGuest{CPUKind: "shared", CPUs: 2, MemoryMB: 1024},
			Metadata:    map[string]string{"flycd_job": anID, "flycd_attempt": "3"},
			AutoDestroy: true,
			Restart:     &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo},
			DNS:         &flygo.DNSConfig{SkipRegistration: true},
			StopConfig:  &flygo.StopConfig{Signal: &signal, Timeout: &timeout},
		},
	}
	if diff := cmp.Diff(asJSON(t, theirs), asJSON(t, ours)); diff != "" {
		t.Errorf("our request is not fly-go's (-theirs +ours):\n%s", diff)
	}
}

func TestMachineIsReadFromFlyGosJSON(t *testing.T) {
	b, err := json.Marshal(flygo.Machine{
		ID: "148e123456789a", Name: "r-" + anID + "-2", State: "started", Region: "arn", CreatedAt: "2026-08-01T11:00:00Z",
		Config: &flygo.MachineConfig{Metadata: map[string]string{"flycd_job": anID, "flycd_attempt": "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var f flyMachine
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	got, ok := f.machine()
	want := Machine{
		ID: "148e123456789a", Name: "r-" + anID + "-2", State: "started", Region: "arn", Job: anID, Attempt: 2,
		Created: time.Date(2026, 8, 1, 11, 0, 0, 0, time.UTC),
	}
	if !ok || got != want {
		t.Errorf("got %+v, %t, want %+v", got, ok, want)
	}
}

func TestOnlyRunnersAreRunners(t *testing.T) {
	meta := func(id string) *flyConfig { return &flyConfig{Metadata: map[string]string{"flycd_job": id}} }
	for name, c := range map[string]struct {
		f    flyMachine
		want bool
	}{
		"a runner":                         {flyMachine{ID: "1", Name: Name(anID, 1), Config: meta(anID)}, true},
		"a runner on an unreachable host":  {flyMachine{ID: "1", Name: Name(anID, 1)}, true},
		"another name":                     {flyMachine{ID: "1", Name: "web-1", Config: meta(anID)}, false},
		"the name of a runner only":        {flyMachine{ID: "1", Name: Name(anID, 1), Config: &flyConfig{}}, false},
		"a name and metadata that differ":  {flyMachine{ID: "1", Name: Name(anID, 1), Config: meta("b" + anID[1:])}, false},
		"no id":                            {flyMachine{Name: Name(anID, 1), Config: meta(anID)}, false},
		"a name that Name would not write": {flyMachine{ID: "1", Name: "r-" + anID + "-01", Config: meta(anID)}, false},
	} {
		if _, got := c.f.machine(); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

func TestNameIsReadBack(t *testing.T) {
	id, attempt, ok := ParseName(Name(anID, 12))
	if id != anID || attempt != 12 || !ok {
		t.Errorf("got %q, %d, %t", id, attempt, ok)
	}
	for _, bad := range []string{"", "r-", "r--1", "r-" + anID, "r-" + anID + "-", "r-" + anID + "-x", "r-" + anID + "--1", "r-" + anID + "-+1", "r-UPPER" + anID[5:] + "-1", "x" + Name(anID, 1), Name(anID, 1) + " "} {
		if _, _, ok := ParseName(bad); ok {
			t.Errorf("%q is read as a name", bad)
		}
	}
}

func TestSizesAreFlys(t *testing.T) {
	for size, want := range map[string]Guest{
		"":                       {"shared", 1, 512},
		"shared-cpu-1x":          {"shared", 1, 256},
		"shared-cpu-1x:512MB":    {"shared", 1, 512},
		"shared-cpu-8x:512":      {},
		"shared-cpu-1x:4GB":      {},
		"shared-cpu-2x:1gb":      {"shared", 2, 1024},
		"performance-16x":        {"performance", 16, 32768},
		"performance-1x:8192":    {"performance", 1, 8192},
		"performance-1x:8193":    {},
		"shared-cpu-3x":          {},
		"a10":                    {},
		"shared-cpu-1x:":         {},
		"shared-cpu-1x:-512":     {},
		"shared-cpu-1x:99999999": {},
	} {
		got, err := ParseSize(size)
		if got != want || (err != nil) != (want == Guest{}) {
			t.Errorf("%q: got %+v, %v, want %+v", size, got, err, want)
		}
	}
	for name, preset := range flygo.MachinePresets {
		if preset.GPUs > 0 {
			continue
		}
		if got, err := ParseSize(name); err != nil || got.CPUKind != preset.CPUKind || got.CPUs != preset.CPUs || got.MemoryMB != preset.MemoryMB {
			t.Errorf("%s: got %+v, %v, want fly-go's %+v", name, got, err, preset)
		}
	}
}

func TestTokensGoByTheirScheme(t *testing.T) {
	for token, want := range map[string]string{
		"fm2_abc":              "FlyV1 fm2_abc",
		"FlyV1 fm2_abc,fm2_de": "FlyV1 fm2_abc,fm2_de",
		"bearer  opaque\n":     "Bearer opaque",
		"opaque":               "Bearer opaque",
	} {
		if got := authorization(token); got != want {
			t.Errorf("%q: got %q, want %q", token, got, want)
		}
	}
}

func asJSON(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAppsAreFlyGos holds what an app is created with, and read as, equal to fly-go's.
func TestAppsAreFlyGos(t *testing.T) {
	ours, err := json.Marshal(createApp{"a", "o", "n"})
	if err != nil {
		t.Fatal(err)
	}
	var theirs flaps.CreateAppRequest
	if err := json.Unmarshal(ours, &theirs); err != nil {
		t.Fatal(err)
	}
	if want := (flaps.CreateAppRequest{Name: "a", Org: "o", Network: "n"}); theirs != want {
		t.Errorf("%s is %+v, want %+v", ours, theirs, want)
	}
	text, err := json.Marshal(flaps.App{Name: "a", InternalNumericID: 7, Organization: flaps.AppOrganizationInfo{Slug: "o", InternalNumericID: 9}})
	if err != nil {
		t.Fatal(err)
	}
	var got flyApp
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "a" || got.InternalNumericID != 7 || got.Organization.Slug != "o" || got.Organization.InternalNumericID != 9 {
		t.Errorf("read %+v", got)
	}
}

// TestAddonsAreRecordedUnderOneName: deploys write what grants look for.
func TestAddonsAreRecordedUnderOneName(t *testing.T) {
	if metadataAddons != plan.MetaAddons {
		t.Errorf("looked for under %s, written under %s", metadataAddons, plan.MetaAddons)
	}
}
