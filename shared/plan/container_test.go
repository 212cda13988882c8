package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// TestContainerByTagIsWhatTheMachineRuns compares a machine whose container names its image by tag, as
// flyctl writes it, with the digest that the tag stands for, and with another one.
func TestContainerByTagIsWhatTheMachineRuns(t *testing.T) {
	const tag = "registry.fly.io/shop:v1"
	same, other := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	config := &flygo.MachineConfig{
		Image: tag, Metadata: map[string]string{"fly_process_group": "app", "fly_platform_version": "v2"},
		Containers: []*flygo.ContainerConfig{{Name: "app", Image: tag}, {Name: "echo", Image: "echo:1"}},
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	m := &flygo.Machine{ID: "m1", Region: "ams", State: "started", Config: config}
	m.ImageRef.Digest = same
	o := plan.Observed{Exists: true, App: "shop", Machines: []plan.Machine{{Machine: m, Raw: raw}}}
	wanted := *config
	wanted.Image, wanted.Containers = "", []*flygo.ContainerConfig{{Name: "app"}, {Name: "echo", Image: "echo:1"}}
	target := machine.Target{App: "shop", Groups: []machine.Group{{Name: "app", Config: &wanted, Container: "app", Regions: []string{"ams"}, Create: 1}}}
	for digest, empty := range map[string]bool{same: true, other: false} {
		p, err := plan.Diff(o, plan.Intent{Target: target, Image: tag + "@" + digest})
		if err != nil {
			t.Fatal(err)
		}
		if p.Empty() != empty {
			t.Errorf("%s: %v", digest, p.Summary())
		}
	}
}
