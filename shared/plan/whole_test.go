package plan_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// TestWholeDeploysEndAsFlyctls makes both deploys of each case on the model of Fly, and compares what is
// there at the end with what was there after flyctl's.
func TestWholeDeploysEndAsFlyctls(t *testing.T) {
	for _, dir := range cases(t) {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			want, first := readCase(t, dir)
			a := &account{}
			a.deploy(fatal{t}, first)
			second := first
			switch {
			case strings.HasPrefix(name, "03-"):
				a.o.Machines[0].State = "suspended"
			case strings.HasPrefix(name, "24-"):
				a.apply(plan.CreateVolume{App: first.Target.App, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"})
				_, second = readManifest(t, dir, "fly2.toml")
			}
			if strings.Contains(want.Deploy2, "nginx:1.28") {
				second.Image = image("1.28")
			}
			second.Metadata = map[string]string{plan.MetaDigest: "d2"}
			p := mustDiff(t, a.o, second)
			a.deploy(fatal{t}, second)
			compareFinal(t, want, a)
			if len(want.Updates) == 0 {
				compareReplacements(t, want.Creates2, p)
			}
		})
	}
}

// compareReplacements is about machines that flyctl made anew.
func compareReplacements(t *testing.T, want []sent, p plan.Plan) {
	t.Helper()
	var got []sent
	for _, step := range stepsOf(p) {
		if r, ok := step.(plan.ReplaceMachine); ok {
			got = append(got, sent{Config: sentConfig(t, r.Create), Region: r.Create.Region, SkipLaunch: r.Create.SkipLaunch})
		}
	}
	for i := range want {
		want[i].Config = resting(want[i].Config)
	}
	for i := range got {
		got[i].Config = resting(got[i].Config)
	}
	compareCreates(t, want, got)
}

func compareFinal(t *testing.T, want recording, a *account) {
	t.Helper()
	var wanted, got []string
	for _, m := range want.Final.Machines {
		wanted = append(wanted, machineText(t, m.Config, m.Region, m.State))
	}
	for _, m := range a.o.Machines {
		var config map[string]any
		if err := json.Unmarshal(m.Raw, &config); err != nil {
			t.Fatal(err)
		}
		got = append(got, machineText(t, config, m.Region, m.State))
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("machines at the end (-flyctl +ours):\n%s", diff)
	}
	var volumes []sentVolume
	for _, v := range a.o.Volumes {
		volumes = append(volumes, sentVolume{Name: v.Name, Region: v.Region, SizeGB: v.SizeGb})
	}
	if diff := cmp.Diff(want.Final.Volumes, volumes, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("volumes at the end (-flyctl +ours):\n%s", diff)
	}
	var ips []string
	for _, ip := range a.o.IPs {
		kind := "v4"
		switch {
		case strings.Contains(ip.Address, ":"):
			kind = "v6"
		case ip.Shared:
			kind = "shared_v4"
		}
		ips = append(ips, kind)
	}
	slices.Sort(ips)
	if diff := cmp.Diff(want.Final.IPs, ips, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("addresses at the end (-flyctl +ours):\n%s", diff)
	}
}

func machineText(t *testing.T, config map[string]any, region, state string) string {
	t.Helper()
	return fmt.Sprintf("%s %s %s", region, state, mustJSON(t, resting(withoutStamps(config))))
}

// resting leaves out what Fly fills in, and what each of the two Flys here says in its own way.
func resting(config map[string]any) map[string]any {
	delete(config, "brand_new")
	if r, ok := config["restart"].(map[string]any); ok && r["policy"] == "on-failure" && r["max_retries"] == 10.0 {
		delete(config, "restart")
	}
	if guest, ok := config["guest"].(map[string]any); ok {
		delete(guest, "gpus")
	}
	if config["standbys"] != nil {
		config["standbys"] = "the first"
	}
	if env, ok := config["env"].(map[string]any); ok {
		delete(env, "FLY_STANDBY_FOR")
	}
	for _, m := range asList(config["mounts"]) {
		for _, key := range []string{"volume", "encrypted", "size_gb"} {
			delete(m.(map[string]any), key)
		}
	}
	for key, value := range config {
		if m, ok := value.(map[string]any); ok && len(m) == 0 || value == nil {
			delete(config, key)
		}
	}
	if config["init"] == nil {
		config["init"] = map[string]any{}
	}
	return config
}
