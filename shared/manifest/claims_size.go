package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// room is the size of a machine, as far as a policy speaks of it.
type room struct {
	kind, gpu, host string
	cpus, memory    int
	// most is the memory up to which the machine may grow.
	most int
	gpus int
	why  string
}

const (
	smallest    = "shared-cpu-1x"
	smallestGPU = "performance-8x"
	// What a CPU brings, in MB.
	sharedBrings, performanceBrings = 256, 2048
	// gpuBrings is the memory of Fly's presets with a GPU.
	gpuBrings = 16 * performanceBrings
)

var cpuSize = regexp.MustCompile(`^(?:(shared)-cpu|(performance))-([1-9][0-9]{0,2})x$`)

// preset starts a room from one of Fly's sizes. What is none of them is refused later, and keeps its name here.
func (r *room) preset(size string) {
	size = strings.ToLower(strings.TrimSpace(size))
	m := cpuSize.FindStringSubmatch(size)
	if m == nil {
		*r = room{most: r.most, gpu: size, gpus: 1, kind: "performance", cpus: 8, memory: gpuBrings, host: r.host}
		return
	}
	n, _ := strconv.Atoi(m[3]) // the expression takes at most three digits
	r.kind, r.cpus = m[1]+m[2], n
	r.memory = r.brings()
}

// brings is the memory that the CPUs bring, in MB.
func (r *room) brings() int {
	each := sharedBrings
	if r.kind == "performance" {
		each = performanceBrings
	}
	return min(r.cpus, 1<<20) * each
}

// name is the preset that the room's processors are of.
func (r *room) name() string {
	switch {
	case r.gpu != "" || r.gpus > 0:
		return strings.ToLower(cmp.Or(r.gpu, "gpu"))
	case r.kind == "performance":
		return fmt.Sprintf("performance-%dx", r.cpus)
	default:
		return fmt.Sprintf("%s-cpu-%dx", strings.ToLower(r.kind), r.cpus)
	}
}

// lay lays a [[vm]] over Fly's smallest size, or over the one that it names.
func (a *App) lay(vm VM) room {
	r := room{host: cmp.Or(vm.HostDedicationID, a.HostDedicationID)}
	size := vm.Size
	if size == "" && vm.GPUKind != "" {
		size = smallestGPU
	}
	r.preset(cmp.Or(size, smallest))
	if vm.Memory != "" {
		mb, err := strconv.Atoi(vm.Memory)
		if err != nil {
			var n int64
			n, err = units.RAMInBytes(vm.Memory)
			mb = int(n / units.MiB)
		}
		if r.memory = mb; err != nil {
			r.why = "has a memory that cannot be read"
		}
	}
	r.kind, r.cpus, r.memory = cmp.Or(vm.CPUKind, r.kind), cmp.Or(vm.CPUs, r.cpus), cmp.Or(vm.MemoryMB, r.memory)
	r.most = vm.MaxMemoryMB
	r.gpu, r.gpus = cmp.Or(vm.GPUKind, r.gpu), cmp.Or(vm.GPUs, r.gpus)
	return r
}

// over lays FlyCD's own keys over the room.
func (r *room) over(own Guest) {
	if own.Size != "" {
		r.preset(own.Size)
	}
	if own.RAMMB != nil {
		r.memory = *own.RAMMB
	}
	if own.CPUCores != nil {
		r.cpus = *own.CPUCores
	}
	r.kind = cmp.Or(own.CPUType, r.kind)
}

// claim makes a claim of the room.
func (r *room) claim(key string) claim {
	c := claim{right: rightSizes, key: key, name: r.name(), memory: max(r.memory, r.most), brings: r.brings(), why: r.why}
	switch {
	case r.gpus > 1:
		c.why = "has several GPUs"
	case r.gpu != "" || r.gpus > 0:
		c.brings = gpuBrings
	}
	if r.host != "" {
		c.why = "is on a dedicated host"
	}
	return c
}

// sizeClaims are the sizes of all machines that the manifest sizes, and of those that it leaves to Fly.
func (a *App) sizeClaims() []claim {
	var out []claim
	for _, group := range a.groupNames() {
		key, r := a.roomOf(group)
		out = append(out, r.claim(key))
	}
	for i, s := range a.Schedules {
		if s.VM != nil {
			r := a.lay(*s.VM)
			out = append(out, r.claim(fmt.Sprintf("schedules[%d].vm", i)))
		}
	}
	if d := a.DeploySection; d != nil && d.ReleaseCommandVM != nil {
		r := a.lay(*d.ReleaseCommandVM)
		out = append(out, r.claim("deploy.release_command_vm"))
	}
	configs := a.machineConfigs()
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		out = append(out, configRooms(key, configs[key])...)
	}
	return out
}

// roomOf gives the size of a group's machines, and the key that says most of it: as the translation into machines has it,
// Fly's [[vm]] first, else the flags, then FlyCD's own keys.
func (a *App) roomOf(group string) (key string, r room) {
	key, vm := a.vmOf(group)
	if vm == nil {
		flags := a.vmFlags()
		vm = &flags
	}
	sized := *vm
	if sized.Size == "" && a.VMSize != "" {
		sized.Size, key = a.VMSize, "vm_size"
	}
	r = a.lay(sized)
	for _, own := range []struct {
		key string
		Guest
	}{{"machines", a.Machines.Guest}, {"machines." + group, a.Machines.Groups[group]}} {
		if own.Size != "" || own.RAMMB != nil || own.CPUCores != nil || own.CPUType != "" {
			key = own.key
		}
		r.over(own.Guest)
	}
	return key, r
}

// vmOf gives the section that sizes a group, or nil: the last that names it, else the first that is for all.
func (a *App) vmOf(group string) (key string, vm *VM) {
	for i := range slices.Backward(a.VM) {
		if slices.Contains(a.VM[i].Processes, group) {
			return fmt.Sprintf("vm[%d]", i), &a.VM[i]
		}
	}
	for i := range a.VM {
		p := a.VM[i].Processes
		if len(p) == 0 || slices.Contains(p, "") && group == a.defaultGroup() {
			return fmt.Sprintf("vm[%d]", i), &a.VM[i]
		}
	}
	return "vm", nil
}

// vmFlags is what flags say of the size of machines: of several, the largest.
func (a *App) vmFlags() VM {
	var vm VM
	for _, m := range a.mentions("vm-size", "vm-memory", "vm-cpu-kind", "vm-cpus") {
		switch m.name {
		case "vm-size":
			vm.Size = larger(vm.Size, m.value)
		case "vm-memory":
			one, two := a.lay(VM{Memory: vm.Memory}), a.lay(VM{Memory: m.value})
			if vm.Memory == "" || two.why != "" || two.memory > one.memory {
				vm.Memory = m.value
			}
		case "vm-cpu-kind":
			if vm.CPUKind != "performance" {
				vm.CPUKind = m.value
			}
		case "vm-cpus":
			n, _ := strconv.Atoi(m.value) // what is no number is refused later
			vm.CPUs = max(vm.CPUs, n)
		}
	}
	return vm
}

// larger gives the larger of two presets.
func larger(a, b string) string {
	var x, y room
	x.preset(a)
	y.preset(b)
	if a == "" || y.memory > x.memory {
		return b
	}
	return a
}

// configRooms is the size in a machine's config that is written as such.
func configRooms(key, text string) []claim {
	c := claim{right: rightSizes, key: key, why: "may size machines in another file; write it here, as JSON"}
	var config struct {
		Size  string
		Guest *struct {
			CPUKind     string `json:"cpu_kind"`
			CPUs        int
			MemoryMB    int `json:"memory_mb"`
			MaxMemoryMB int `json:"max_memory_mb"`
			GPUs        int
			GPUKind     string `json:"gpu_kind"`
			Host        string `json:"host_dedication_id"`
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "{") || json.Unmarshal([]byte(text), &config) != nil {
		return []claim{c}
	}
	g := config.Guest
	switch {
	case config.Size != "":
		c.why = "sizes machines by a key that Fly gave up; write guest"
		return []claim{c}
	case g == nil:
		return nil
	case g.CPUKind == "" || g.CPUs == 0 || g.MemoryMB == 0:
		c.why = "leaves the size open; write cpu_kind, cpus and memory_mb"
		return []claim{c}
	}
	r := room{kind: g.CPUKind, cpus: g.CPUs, memory: max(g.MemoryMB, g.MaxMemoryMB), gpu: g.GPUKind, gpus: g.GPUs, host: g.Host}
	return []claim{r.claim(key + ".guest")}
}
