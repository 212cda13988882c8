package plan_test

import (
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

func TestLineSaysWhatDiffersAndLeavesOutBookkeeping(t *testing.T) {
	t.Parallel()
	const a, b = "0d209763e5f8999731892ed2f45c45e026f7cf52", "4b4ec6c3a82efc5c0c335ad671c97fb2b44520cd"
	digest := func(s string) string { return "@sha256:" + s + strings.Repeat("0", 24) }
	release := plan.Change{Key: "metadata.flycd_release", Old: "1", New: "2"}
	for want, changes := range map[string][]plan.Change{
		"env.COLOR: red → blue":                                     {{Key: "env.COLOR", Old: "red", New: "blue"}, release, {Key: "env.FLYCD_APP_VERSION", Old: a, New: b}},
		"metadata.flycd_release: 1 → 2":                             {release},
		"image: t-0d209763e5f8 → t-4b4ec6c3a82e":                    {{Key: "image", Old: "r.io/web:t-" + a + digest(a), New: "r.io/web:t-" + b + digest(b)}},
		"image: 0d209763e5f8 → 4b4ec6c3a82e":                        {{Key: "image", Old: "h:5000/web:1" + digest(a), New: "h:5000/web:1" + digest(b)}, release},
		"image: h:5000/web:1 → h:5000/api:1":                        {{Key: "image", Old: "h:5000/web:1" + digest(a), New: "h:5000/api:1" + digest(b)}},
		"image: h:5000/web → h:5000/web:1":                          {{Key: "image", Old: "h:5000/web", New: "h:5000/web:1" + digest(b)}},
		"metadata.flycd_config_digest: 0d209763e5f8 → 4b4ec6c3a82e": {{Key: "metadata.flycd_config_digest", Old: a, New: b}},
		"guest.memory_mb: 256 → 512; env.NAME: + deadbeef":          {{Key: "guest.memory_mb", Old: "256", New: "512"}, {Key: "env.NAME", New: "deadbeef"}},
	} {
		step := plan.UpdateMachine{Machine: plan.Machine{Machine: &flygo.Machine{ID: "m1"}}, Config: &flygo.MachineConfig{}, Changes: changes}
		if got := plan.Line(step); !strings.HasSuffix(got, ": "+want) {
			t.Errorf("%q, want %q at its end", got, want)
		}
	}
}
