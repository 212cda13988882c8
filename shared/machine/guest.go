package machine

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// guest gives the size of the group's machines, and whether the manifest says anything of it. Fly's
// [[vm]] comes first, then FlyCD's vm_size, machines and machines.<group>, each over the one before.
func (t *translator) guest(group string) (*flygo.MachineGuest, bool) {
	vm, set := t.vmOf(group)
	if !set {
		vm = t.flags.vm
	}
	if t.app.VMSize != "" && vm.Size == "" {
		vm.Size, set = t.app.VMSize, true
	}
	guest := t.vmGuest("vm", vm)
	for _, own := range []manifest.Guest{t.app.Machines.Guest, t.app.Machines.Groups[group]} {
		set = t.ownGuest("machines", own, guest) || set
	}
	return guest, set
}

// vmOf gives the last [[vm]] that names the group, else the first that names none.
func (t *translator) vmOf(group string) (manifest.VM, bool) {
	for _, vm := range slices.Backward(t.app.VM) {
		if slices.Contains(vm.Processes, group) {
			return vm, true
		}
	}
	for _, vm := range t.app.VM {
		if len(vm.Processes) == 0 || t.concerns(vm.Processes, group) {
			return vm, true
		}
	}
	return manifest.VM{}, false
}

// vmGuest starts from the preset and lays every field that is written over it. More CPUs do not
// bring more memory.
func (t *translator) vmGuest(key string, vm manifest.VM) *flygo.MachineGuest {
	guest := &flygo.MachineGuest{HostDedicationID: t.app.HostDedicationID}
	size := vm.Size
	if size == "" && vm.GPUKind != "" {
		size = flygo.DefaultGPUVMSize
	}
	t.preset(key+".size", first(size, flygo.DefaultVMSize), guest)
	if vm.Memory != "" {
		guest.MemoryMB = t.memory(key+".memory", vm.Memory)
	}
	override(&guest.CPUKind, vm.CPUKind)
	override(&guest.CPUs, vm.CPUs)
	override(&guest.MemoryMB, vm.MemoryMB)
	override(&guest.MaxMemoryMB, vm.MaxMemoryMB)
	override(&guest.GPUs, vm.GPUs)
	override(&guest.GPUKind, vm.GPUKind)
	override(&guest.HostDedicationID, vm.HostDedicationID)
	override(&guest.PersistRootfs, t.persist(key, vm.PersistRootfs)) //nolint:staticcheck // flyctl sends it here, not in rootfs
	if len(vm.KernelArgs) > 0 {
		guest.KernelArgs = vm.KernelArgs
	}
	t.checkCPUKind(key+".cpu_kind", vm.CPUKind)
	return guest
}

// ownGuest lays FlyCD's own keys over the guest and reports whether there are any.
func (t *translator) ownGuest(key string, own manifest.Guest, guest *flygo.MachineGuest) bool {
	if own.Size != "" {
		t.preset(key+".size", own.Size, guest)
	}
	for name, n := range map[string]*int{"ram_mb": own.RAMMB, "cpu_cores": own.CPUCores} {
		if n != nil && *n < 1 {
			t.bad(key+"."+name, "is %d; it must be above 0", *n)
		}
	}
	if own.RAMMB != nil {
		guest.MemoryMB = *own.RAMMB
	}
	if own.CPUCores != nil {
		guest.CPUs = *own.CPUCores
	}
	override(&guest.CPUKind, own.CPUType)
	t.checkCPUKind(key+".cpu_type", own.CPUType)
	return own.Size != "" || own.RAMMB != nil || own.CPUCores != nil || own.CPUType != ""
}

func (t *translator) checkCPUKind(key, kind string) {
	if kind != "" && kind != "shared" && kind != "performance" {
		t.bad(key, "is %q; it can be shared or performance", kind)
	}
}

func (t *translator) preset(key, size string, guest *flygo.MachineGuest) {
	if _, known := flygo.MachinePresets[size]; !known {
		t.bad(key, "is %q, which is none of Fly's sizes: %s", size, strings.Join(presets(), ", "))
		return
	}
	if err := guest.SetSize(size); err != nil {
		t.bad(key, "%v", err)
	}
}

// presets are the names of Fly's sizes, those of CPUs before those of GPUs, small before large.
func presets() []string {
	names := slices.Collect(maps.Keys(flygo.MachinePresets))
	slices.SortFunc(names, func(a, b string) int {
		x, y := flygo.MachinePresets[a], flygo.MachinePresets[b]
		return strings.Compare(rank(x, a), rank(y, b))
	})
	return names
}

func rank(g *flygo.MachineGuest, name string) string {
	kinds := map[bool]string{true: "2", false: "1"}
	if g.GPUKind == "" && g.CPUKind == "shared" {
		return "0" + strconv.Itoa(100+g.CPUs)
	}
	return kinds[g.GPUKind != ""] + strconv.Itoa(100+g.CPUs) + name
}

// memory reads "1gb" and "512mb" in binary units; a bare number is megabytes.
func (t *translator) memory(key, text string) int {
	mb, err := size(text, units.RAMInBytes, units.MiB)
	if err != nil || mb < 1 {
		t.bad(key, "is %q; it must be an amount of memory above 0, such as 512mb or 1gb", text)
	}
	return mb
}

// size reads a bare number as it is, else a text with a unit as so many of the given units.
func size(text string, parse func(string) (int64, error), unit int64) (int, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	n, err := parse(text)
	return int(n / unit), err
}

func (t *translator) persist(key, text string) flygo.MachinePersistRootfs {
	switch p := flygo.MachinePersistRootfs(text); p {
	case flygo.MachinePersistRootfsNever, flygo.MachinePersistRootfsRestart, flygo.MachinePersistRootfsAlways, flygo.MachinePersistRootfsNone:
		return p
	case "none":
		return flygo.MachinePersistRootfsNone
	}
	t.bad(key+".persist_rootfs", "is %q; it can be never, restart or always", text)
	return flygo.MachinePersistRootfsNone
}

// override sets what is written.
func override[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
