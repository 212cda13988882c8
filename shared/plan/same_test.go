package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/plan"
)

// TestWhatFlyEchoesOtherwiseIsNoDrift is FLYCTL.md f.12 as a table.
func TestWhatFlyEchoesOtherwiseIsNoDrift(t *testing.T) {
	table := map[string]func(a *account){
		"nothing":         func(*account) {},
		"dns absent":      func(a *account) { a.edit(0, func(c map[string]any) { delete(c, "dns") }) },
		"null for absent": func(a *account) { a.edit(0, func(c map[string]any) { c["metrics"], c["schedule"] = nil, nil }) },
		"{} for absent": func(a *account) {
			a.edit(0, func(c map[string]any) { c["checks"], c["stop_config"] = map[string]any{}, map[string]any{} })
		},
		"[] for absent":    func(a *account) { a.edit(0, func(c map[string]any) { c["files"], c["mounts"] = []any{}, []any{} }) },
		`"" for absent`:    func(a *account) { a.edit(0, func(c map[string]any) { at(c, "services.checks")["protocol"] = "" }) },
		"restart absent":   func(a *account) { a.edit(0, func(c map[string]any) { delete(c, "restart") }) },
		"autostop as word": func(a *account) { a.edit(0, func(c map[string]any) { at(c, "services")["autostop"] = "stop" }) },
		"duration form":    func(a *account) { a.edit(0, func(c map[string]any) { at(c, "services.checks")["interval"] = "0m15s" }) },
		"header order": func(a *account) {
			a.edit(0, func(c map[string]any) { slices.Reverse(at(c, "services.checks")["headers"].([]any)) })
		},
		"other commit":     func(a *account) { a.edit(0, func(c map[string]any) { at(c, "metadata")["flycd_commit"] = "c0" }) },
		"other commit env": func(a *account) { a.edit(0, func(c map[string]any) { at(c, "env")["FLYCD_APP_VERSION"] = "c0" }) },
		"release stamps": func(a *account) {
			a.edit(0, func(c map[string]any) { at(c, "metadata")["fly_release_version"] = "99" })
		},
		"user's metadata": func(a *account) { a.edit(0, func(c map[string]any) { at(c, "metadata")["team"] = "blue" }) },
		"scaled by hand": func(a *account) {
			a.edit(0, func(c map[string]any) { c["guest"] = map[string]any{"cpus": 4, "memory_mb": 1024} })
		},
		"keys of tomorrow": func(a *account) {
			a.edit(0, func(c map[string]any) { c["tomorrow"], at(c, "services")["new"] = 1, true })
		},
		"image's other name": func(a *account) { a.edit(0, func(c map[string]any) { c["image"] = "mirror/nginx:1" }) },
	}
	for name, change := range table {
		t.Run(name, func(t *testing.T) {
			a, want := deployed(t, web)
			change(a)
			if p := mustDiff(t, a.o, want); !p.Empty() {
				t.Errorf("planned:\n%s", strings.Join(p.Summary(), "\n"))
			}
			if err := plan.Proven(a.o, want); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatDiffersIsNamedByKey has one line per kind of difference.
func TestWhatDiffersIsNamedByKey(t *testing.T) {
	table := map[string]struct {
		change func(c map[string]any)
		want   plan.Change
	}{
		"env":           {func(c map[string]any) { at(c, "env")["GREETING"] = "bye" }, plan.Change{Key: "env.GREETING", Old: "bye", New: "hello"}},
		"env gone":      {func(c map[string]any) { delete(at(c, "env"), "GREETING") }, plan.Change{Key: "env.GREETING", New: "hello"}},
		"env too many":  {func(c map[string]any) { at(c, "env")["X"] = "1" }, plan.Change{Key: "env.X", Old: "1"}},
		"port":          {func(c map[string]any) { at(c, "services")["internal_port"] = 1 }, plan.Change{Key: "services[0].internal_port", Old: "1", New: "8080"}},
		"autostop":      {func(c map[string]any) { at(c, "services")["autostop"] = "suspend" }, plan.Change{Key: "services[0].autostop", Old: "suspend", New: "true"}},
		"digest":        {func(c map[string]any) { at(c, "metadata")["flycd_digest"] = "0" }, plan.Change{Key: "metadata.flycd_digest", Old: "0", New: "1"}},
		"init":          {func(c map[string]any) { at(c, "init")["cmd"] = []any{"a", "b"} }, plan.Change{Key: "init.cmd", Old: `["a","b"]`}},
		"restart":       {func(c map[string]any) { c["restart"] = map[string]any{"policy": "always"} }, plan.Change{Key: "restart.policy", Old: "always"}},
		"header hidden": {func(c map[string]any) { at(c, "services.checks.headers")["values"] = []any{"secret"} }, plan.Change{Key: "services[0].checks[0].headers[A].values"}},
		"file hidden": {func(c map[string]any) {
			c["files"] = []any{map[string]any{"guest_path": "/k", "raw_value": "c2VjcmV0"}}
		}, plan.Change{Key: "files[/k].guest_path", Old: "/k"}},
	}
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			a, want := deployed(t, web)
			a.edit(0, row.change)
			steps := stepsOf(mustDiff(t, a.o, want))
			if len(steps) != 1 {
				t.Fatalf("planned %d steps", len(steps))
			}
			u := steps[0].(plan.UpdateMachine)
			if !slices.Contains(u.Changes, row.want) {
				t.Errorf("changes %v lack %v", u.Changes, row.want)
			}
			if s := plan.Line(u) + lines(mustDiff(t, a.o, want)); strings.Contains(s, "secret") || strings.Contains(s, "c2VjcmV0") {
				t.Errorf("the plan shows what may be secret: %s", s)
			}
		})
	}
}

func TestImagesAreComparedByDigest(t *testing.T) {
	a, want := deployed(t, web)
	a.edit(0, func(c map[string]any) { c["image"] = "nginx:1.26" })
	a.o.Machines[0].ImageRef.Digest = digest("0")
	u := stepsOf(mustDiff(t, a.o, want))[0].(plan.UpdateMachine)
	if got := u.Changes[0]; got.Key != "image" || got.New != image("1") || !strings.HasSuffix(got.Old, digest("1")) && !strings.HasSuffix(got.Old, digest("0")) {
		t.Errorf("got change %v", got)
	}
	if u.Config.Image != image("1") {
		t.Errorf("the update sends image %s", u.Config.Image)
	}
}

// Fly tells the digest of the one image in an index that the machine can run.
//
// Broken when: an app whose image is pinned to an index is updated at every deploy, and never proven.
func TestImageThatIsPinnedToAnIndexIsUnchanged(t *testing.T) {
	a, want := deployed(t, web)
	a.o.Machines[0].ImageRef.Digest = digest("0")
	if steps := stepsOf(mustDiff(t, a.o, want)); len(steps) > 0 {
		t.Errorf("planned %v", steps)
	}
	if err := plan.Proven(a.o, want); err != nil {
		t.Error(err)
	}
}

// TestUpdateKeepsWhatIsNotTheManifests lays the wanted config over a machine with all sorts of keys.
func TestUpdateKeepsWhatIsNotTheManifests(t *testing.T) {
	a, want := deployed(t, web)
	a.edit(0, func(c map[string]any) {
		at(c, "env")["GREETING"], at(c, "env")["EXTRA"] = "bye", "gone"
		at(c, "metadata")["team"], at(c, "metadata")["flycd_old"] = "blue", "gone"
		at(c, "init")["tty"], at(c, "init")["cmd"] = true, []any{"gone"}
		c["rootfs"], c["tomorrow"] = map[string]any{"persist": "always"}, map[string]any{"big": 12345678901234567}
		c["files"] = []any{map[string]any{"guest_path": "/gone", "raw_value": "eA=="}}
	})
	u := stepsOf(mustDiff(t, a.o, want))[0].(plan.UpdateMachine)
	raw := string(u.Raw)
	for _, kept := range []string{`"team":"blue"`, `"tty":true`, `"rootfs":{"persist":"always"}`, `"tomorrow":{"big":12345678901234567}`, `"brand_new":"kept"`, `"fly_release_version":"7"`, `"GREETING":"hello"`} {
		if !strings.Contains(raw, kept) {
			t.Errorf("%s is lost from %s", kept, raw)
		}
	}
	if strings.Contains(raw, "gone") {
		t.Errorf("something that is not in the manifest stayed: %s", raw)
	}
	if u.Config.Env["GREETING"] != "hello" || !u.Config.Init.Tty {
		t.Errorf("the typed config is not the same: %+v", u.Config)
	}
}

func TestGuestIsKeptUnlessTheManifestSizesIt(t *testing.T) {
	a, want := deployed(t, web)
	a.edit(0, func(c map[string]any) {
		c["guest"] = map[string]any{"cpu_kind": "shared", "cpus": 8, "memory_mb": 4096}
		at(c, "env")["GREETING"] = "bye"
	})
	u := stepsOf(mustDiff(t, a.o, want))[0].(plan.UpdateMachine)
	if u.Config.Guest.CPUs != 8 {
		t.Errorf("the guest became %v", u.Config.Guest)
	}
	sized := intent(t, web+"machines: {ram_mb: 512}\n")
	u = stepsOf(mustDiff(t, a.o, sized))[0].(plan.UpdateMachine)
	if g := u.Config.Guest; g.CPUs != 1 || g.MemoryMB != 512 {
		t.Errorf("the guest became %v", g)
	}
}

func TestANewMachineIsSizedLikeItsSiblings(t *testing.T) {
	a, _ := deployed(t, web)
	a.edit(0, func(c map[string]any) {
		c["guest"] = map[string]any{"cpu_kind": "shared", "cpus": 2, "memory_mb": 2048}
	})
	steps := stepsOf(mustDiff(t, a.o, intent(t, web+"machines: {count: 2}\n")))
	if c := steps[0].(plan.CreateMachine); c.Config.Guest.MemoryMB != 2048 {
		t.Errorf("the new machine has %v", c.Config.Guest)
	}
}
