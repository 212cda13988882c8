package flysim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// refusal says why a config is not acceptable.
type refusal struct {
	status int
	text   string
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusUnprocessableEntity, "invalid_argument: " + fmt.Sprintf(format, args...)}
}

// parseLaunch reads the body of create and update. Numbers stay as they were written.
func parseLaunch(body []byte) (launchInput, answer, bool) {
	var in launchInput
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return in, failf(http.StatusBadRequest, "invalid_argument: invalid request body: %v", err), false
	}
	if in.Config == nil {
		return in, fail(http.StatusUnprocessableEntity, "invalid_argument: config is required"), false
	}
	if in.LeaseTTL < 0 {
		return in, failf(http.StatusBadRequest, "invalid_argument: invalid lease_ttl %d", in.LeaseTTL), false
	}
	return in, answer{}, true
}

// specOf is the typed config, checked. What fly-go does not know is not looked at; it stays in the
// config that is echoed.
func specOf(config map[string]any) (*flygo.MachineConfig, *refusal) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "invalid_argument: " + err.Error()}
	}
	spec := new(flygo.MachineConfig)
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, &refusal{http.StatusBadRequest, "invalid_argument: invalid machine config: " + err.Error()}
	}
	for _, check := range []func(*flygo.MachineConfig) *refusal{badImage, badGuest, badRestart, badServices, badMounts, badChecks} {
		if why := check(spec); why != nil {
			return nil, why
		}
	}
	return spec, nil
}

func badImage(c *flygo.MachineConfig) *refusal {
	if c.Image == "" && len(c.Containers) == 0 {
		return invalid("config.image is required")
	}
	for _, box := range c.Containers {
		if box == nil || box.Image == "" || box.Name == "" {
			return invalid("containers need a name and an image")
		}
		if c.Image == "" {
			c.Image = box.Image
		}
	}
	return nil
}

func badGuest(c *flygo.MachineConfig) *refusal {
	if size := sizeOf(c); size != "" && flygo.MachinePresets[size] == nil {
		return invalid("invalid machine size %q", size)
	}
	g := c.Guest
	if g == nil {
		return nil
	}
	if g.CPUKind != "" && g.CPUKind != "shared" && g.CPUKind != "performance" {
		return invalid("invalid CPU kind %q, must be one of [shared performance]", g.CPUKind)
	}
	if counts := []int{0, 1, 2, 4, 6, 8, 10, 12, 14, 16}; !slices.Contains(counts, g.CPUs) {
		return invalid("invalid CPU count %d, must be one of %v", g.CPUs, counts[1:])
	}
	least, most := 256, 2048
	if g.CPUKind == "performance" {
		least, most = 2048, 8192
	}
	cpus := max(1, g.CPUs)
	if g.MemoryMB != 0 && (g.MemoryMB%256 != 0 || g.MemoryMB < least*cpus || g.MemoryMB > most*cpus) && g.GPUKind == "" {
		return invalid("invalid memory size %d for %d %s CPUs: must be a multiple of 256 MiB between %d and %d", g.MemoryMB, cpus, g.CPUKind, least*cpus, most*cpus)
	}
	return nil
}

// sizeOf is the preset that older clients name.
func sizeOf(c *flygo.MachineConfig) string { return c.VMSize } //nolint:staticcheck // the API still takes it

func badRestart(c *flygo.MachineConfig) *refusal {
	if r := c.Restart; r != nil && !slices.Contains([]string{"", "no", "always", "on-failure", "spot-price"}, string(r.Policy)) {
		return invalid("invalid restart policy %q", r.Policy)
	}
	if !slices.Contains([]string{"", "hourly", "daily", "weekly", "monthly"}, c.Schedule) {
		return invalid("invalid schedule %q, must be one of [hourly daily weekly monthly]", c.Schedule)
	}
	if sc := c.StopConfig; sc != nil && sc.Signal != nil && *sc.Signal != "" {
		if _, known := signalNamed(*sc.Signal); !known {
			return invalid("invalid stop signal %q", *sc.Signal)
		}
	}
	return nil
}

func badServices(c *flygo.MachineConfig) *refusal {
	for i, svc := range c.Services {
		if svc.InternalPort < 1 || svc.InternalPort > 65535 {
			return invalid("services[%d].internal_port %d is not a port", i, svc.InternalPort)
		}
		if svc.Protocol != "tcp" && svc.Protocol != "udp" {
			return invalid("services[%d].protocol %q must be tcp or udp", i, svc.Protocol)
		}
		for _, p := range svc.Ports {
			if p.Port != nil && (*p.Port < 1 || *p.Port > 65535) {
				return invalid("services[%d] has a port %d that is none", i, *p.Port)
			}
		}
	}
	return nil
}

func badMounts(c *flygo.MachineConfig) *refusal {
	if len(c.Mounts) > 1 {
		return invalid("a machine can have only one volume mounted, not %d", len(c.Mounts))
	}
	for _, mount := range c.Mounts {
		if mount.Volume == "" {
			return invalid("mount at %q has no volume", mount.Path)
		}
		if !strings.HasPrefix(mount.Path, "/") {
			return invalid("mount path %q must be absolute", mount.Path)
		}
	}
	for _, f := range c.Files {
		if f == nil || !strings.HasPrefix(f.GuestPath, "/") {
			return invalid("files need an absolute guest_path")
		}
	}
	return nil
}

func badChecks(c *flygo.MachineConfig) *refusal {
	for name, check := range c.Checks {
		if check.Type == nil || *check.Type != "tcp" && *check.Type != "http" {
			return invalid("check %q needs a type, tcp or http", name)
		}
		if check.Port == nil {
			return invalid("check %q needs a port", name)
		}
	}
	return nil
}

// echo is the config as the API gives it back: dns and init are there, the guest is complete, the
// mount knows its volume, autostop is a boolean in the words that older clients know.
func (s *Server) echo(m *machine, config map[string]any) map[string]any {
	out := maps.Clone(config)
	for _, key := range []string{"dns", "init"} {
		if out[key] == nil {
			out[key] = map[string]any{}
		}
	}
	out["guest"] = fullGuest(m.spec, out["guest"])
	delete(out, "size")
	if services, is := out["services"].([]any); is {
		out["services"] = each(services, func(svc map[string]any) {
			switch svc["autostop"] {
			case "off":
				svc["autostop"] = false
			case "stop":
				svc["autostop"] = true
			}
		})
	}
	if mounts, is := out["mounts"].([]any); is {
		out["mounts"] = each(mounts, func(mount map[string]any) {
			id, _ := mount["volume"].(string)
			if v := m.app.volume(id); v != nil {
				mount["name"], mount["encrypted"], mount["size_gb"] = v.Name, v.Encrypted, v.SizeGB
			}
		})
	}
	return out
}

func fullGuest(spec *flygo.MachineConfig, given any) map[string]any {
	preset := flygo.MachinePresets[flygo.DefaultVMSize]
	if p := flygo.MachinePresets[sizeOf(spec)]; p != nil {
		preset = p
	}
	guest := map[string]any{}
	if g, is := given.(map[string]any); is {
		guest = maps.Clone(g)
	}
	for key, value := range map[string]any{"cpu_kind": preset.CPUKind, "cpus": preset.CPUs, "memory_mb": preset.MemoryMB} {
		if guest[key] == nil {
			guest[key] = value
		}
	}
	return guest
}

// each changes copies of a list's objects; the originals belong to an older version.
func each(list []any, change func(map[string]any)) []any {
	out := slices.Clone(list)
	for i, item := range out {
		if object, is := item.(map[string]any); is {
			object = maps.Clone(object)
			change(object)
			out[i] = object
		}
	}
	return out
}

// guestMemory is the machine's memory in MiB.
func (m *machine) guestMemory() int {
	if m.spec.Guest != nil && m.spec.Guest.MemoryMB > 0 {
		return m.spec.Guest.MemoryMB
	}
	return 256
}
