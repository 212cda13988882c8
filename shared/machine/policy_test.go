package machine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// sizings are lines that size and place machines, in every spelling that there is.
func sizings() []string {
	return []string{
		"vm: {size: shared-cpu-2x}", "vm: {size: performance-1x}", "vm: {memory: 1gb}", "vm: {memory: 512}", "vm: {memory_mb: 1024}", "vm: {cpus: 2}",
		"vm: {cpu_kind: performance}", "vm: {max_memory_mb: 4096}", "vm: {gpu_kind: l40s}", "vm: [{size: shared-cpu-4x, processes: [a]}, {memory: 2gb}]",
		"vm: [{processes: [a, b]}, {size: shared-cpu-2x}]", "vm_size: shared-cpu-2x", "vm_size: performance-2x", "host_dedication_id: h",
		"machines: {size: shared-cpu-2x, ram_mb: 256}", "machines: {ram_mb: 512, a: {cpu_cores: 2}}", "machines: {cpu_type: performance}", "machines: {b: {size: performance-1x}}",
		"machines: {count: 2}", "machines: {count: 3, a: {count: 0}}", "machines: {count_per_region: {ams: 2, fra: 0}}", "machines: {a: {count_per_region: {sin: 3}}}",
		"primary_region: ams", "primary_region: fra", "extra_regions: [ams]", "extra_regions: [sin, fra]",
		"deploy_params: [--vm-size, shared-cpu-2x]", "deploy_params: [--vm-memory=1gb, --ha]", "deploy_params: [vm-cpus, 2, region, sin]", "deploy_params: [--region, fra, --vm-cpu-kind, performance]",
		"launch_params: [--region=sin]", "launch_params: [--primary-region, sin]", "launch_params: [--vm-memory, '2048', --vm-memory, '256']", "launch_params: [--ha=false, ha]",
		"ha: true", "ha: false", "processes: {a: a, b: b}", "processes: {app: x, a: a}", "mounts: {source: d, destination: /d}",
		"schedules: [{name: j, command: x, every: daily}]", "schedules: [{name: j, command: x, every: daily, region: sin, vm: {memory: 1gb}}]",
		"schedules: [{name: j, command: x, every: daily, vm: {size: performance-1x}}]",
		`machine_config: '{"guest": {"cpu_kind": "shared", "cpus": 2, "memory_mb": 512}}'`, `machine_config: '{"guest": {"Cpu_Kind": "performance", "cpus": 1, "memory_mb": 256}}'`,
	}
}

// TestNothingBeyondAPolicyIsTranslated holds what a policy thinks of a manifest to what becomes of it: the two are
// written in two rooms.
func TestNothingBeyondAPolicyIsTranslated(t *testing.T) {
	const policy = "project: p\nsource: {type: local}\nallow: {vm_sizes: ['shared-cpu-[12]x', 'shared-cpu-1x:1gb'], regions: [ams, fra], max_machines: 3}\n"
	r := rand.New(rand.NewPCG(6, 6))
	passed, refused := 0, 0
	for range 1500 {
		all, keys := sizings(), map[string]bool{}
		var text strings.Builder
		for range 1 + r.IntN(4) {
			line := all[r.IntN(len(all))]
			key, _, _ := strings.Cut(line, ":")
			if !keys[key] {
				text.WriteString(line + "\n")
			}
			keys[key] = true
		}
		tree, err := manifest.Read(fstest.MapFS{"project.yaml": {Data: []byte(policy)}, "app.yaml": {Data: []byte("app: shop\n" + text.String())}}, ".", manifest.Options{})
		if err != nil {
			refused++
			continue
		}
		target, err := machine.Translate(tree.Apps[0].App, machine.Inputs{})
		if err != nil {
			continue // nothing becomes of it
		}
		passed++
		if why := beyond(target); why != "" {
			t.Fatalf("%s by\n%s", why, text.String())
		}
	}
	if passed < 80 || refused < 80 {
		t.Errorf("%d were let through and %d refused", passed, refused)
	}
}

// beyond tells what of a target the policy of the test forbids.
func beyond(target machine.Target) string {
	machines := 0
	for _, g := range slices.Concat(target.Groups, target.Schedules) {
		for _, guest := range []*flygo.MachineGuest{g.Config.Guest, g.NewGuest} {
			if guest != nil && !fits(guest) {
				return fmt.Sprintf("%s gets %s with %d to %d MB", g.Name, guest.ToSize(), guest.MemoryMB, guest.MaxMemoryMB)
			}
		}
		for _, region := range g.Regions {
			if region != "ams" && region != "fra" {
				return fmt.Sprintf("%s runs in %q", g.Name, region)
			}
			if n, exact := g.CountOf(region); exact {
				machines += n
			} else if g.ExactRegions || region == g.Regions[0] {
				machines += g.Create
			}
		}
		if g.Standby {
			machines++
		}
	}
	if machines > 3 {
		return fmt.Sprintf("%d machines are made", machines)
	}
	return ""
}

func fits(guest *flygo.MachineGuest) bool {
	most := map[string]int{"shared-cpu-1x": 1024, "shared-cpu-2x": 512}[guest.ToSize()]
	return max(guest.MemoryMB, guest.MaxMemoryMB) <= most && guest.GPUs == 0 && guest.HostDedicationID == ""
}
