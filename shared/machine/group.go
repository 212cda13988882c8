package machine

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/google/shlex"
	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// groupNames are the process groups in the order of their names; an app without processes has one.
func (t *translator) groupNames() []string {
	if len(t.app.Processes) == 0 {
		return []string{flygo.MachineProcessGroupApp}
	}
	return slices.Sorted(maps.Keys(t.app.Processes))
}

// DefaultGroup is the group of sections that name none, and of machines that name none.
func DefaultGroup(groups []string) string {
	if slices.Contains(groups, flygo.MachineProcessGroupApp) || len(groups) == 0 {
		return flygo.MachineProcessGroupApp
	}
	return slices.Min(groups)
}

// concerns reports whether a section with these processes is for the group.
func (t *translator) concerns(processes []string, group string) bool {
	isDefault := group == DefaultGroup(t.groupNames())
	if len(processes) == 0 {
		return isDefault
	}
	return slices.Contains(processes, group) || isDefault && slices.Contains(processes, "")
}

// checkProcesses wants every group that a section names to exist, and every service to name one
// where there are several to choose from.
func (t *translator) checkProcesses() {
	t.checkSection("http_service.processes", t.httpProcesses())
	for _, s := range t.app.Services {
		t.checkSection("services.processes", s.Processes)
	}
	if len(t.app.Processes) > 0 {
		t.checkServicesNameGroups()
	}
	for _, name := range slices.Sorted(maps.Keys(t.app.Checks)) {
		t.checkSection("checks."+name+".processes", t.app.Checks[name].Processes)
	}
	for _, s := range t.app.Mounts {
		t.checkSection("mounts.processes", s.Processes)
	}
	for _, s := range t.app.Files {
		t.checkSection("files.processes", s.Processes)
	}
	for _, s := range t.app.Metrics {
		t.checkSection("metrics.processes", s.Processes)
	}
	for _, s := range t.app.VM {
		t.checkSection("vm.processes", s.Processes)
	}
	for _, s := range t.app.Restart {
		t.checkSection("restart.processes", s.Processes)
	}
	for _, name := range slices.Sorted(maps.Keys(t.app.Machines.Groups)) {
		t.checkSection("machines."+name, []string{name})
	}
}

func (t *translator) httpProcesses() []string {
	if t.app.HTTPService == nil {
		return nil
	}
	return t.app.HTTPService.Processes
}

func (t *translator) checkServicesNameGroups() {
	const rule = "is missing: an app with [processes] has to say which of them the service is for (%s)"
	groups := strings.Join(t.groupNames(), ", ")
	if t.app.HTTPService != nil && len(t.app.HTTPService.Processes) == 0 {
		t.bad("http_service.processes", rule, groups)
	}
	for _, s := range t.app.Services {
		if len(s.Processes) == 0 {
			t.bad("services.processes", rule, groups)
			return
		}
	}
}

// checkSection refuses names of groups that are not there. Beside one that is there, in an app without
// [processes], they are worth a note: such manifests have always been deployed.
func (t *translator) checkSection(key string, processes []string) {
	groups := t.groupNames()
	known := func(p string) bool { return p == "" || slices.Contains(groups, p) }
	for _, p := range processes {
		switch {
		case known(p):
		case len(t.app.Processes) == 0 && slices.ContainsFunc(processes, known):
			t.warn(key, "%q is no process group of this app, and it has no effect", p)
		default:
			t.bad(key, "%q is no process group of this app; it has %s", p, strings.Join(groups, ", "))
		}
	}
}

// group translates one process group. The rows of the config are in the order of FLYCTL.md c.3:
// what machine_config says comes first and is overwritten by what Fly's own sections say.
func (t *translator) group(name string) Group {
	config, container := t.containers()
	config.Metrics = t.metrics(name)
	config.Init.Cmd, config.Init.Entrypoint, config.Init.Exec = t.command(name)
	config.Init.SwapSizeMB = t.app.SwapSizeMB
	config.Metadata = merged(config.Metadata, map[string]string{
		flygo.MachineConfigMetadataKeyFlyPlatformVersion: flygo.MachineFlyPlatformVersion2,
		flygo.MachineConfigMetadataKeyFlyProcessGroup:    name,
	})
	config.Services = t.services(name)
	config.Checks = t.checks(name)
	config.Env = t.env(name)
	config.Statics = t.statics()
	config.Mounts = t.mounts(name)
	config.StopConfig = t.stopConfig()
	config.Restart = t.restart(name)
	guest, set := t.guest(name)
	if set {
		config.Guest = guest
	}
	g := Group{
		Name:         name,
		Config:       config,
		Container:    container,
		GuestSet:     config.Guest != nil,
		NewGuest:     guest,
		Regions:      t.regions(),
		ExactRegions: len(t.app.ExtraRegions) > 0,
	}
	t.counts(&g)
	g.Standby = t.ha() && !g.Counted() && len(config.Services) == 0 && len(config.Mounts) == 0
	return g
}

func (t *translator) metrics(group string) *flygo.MachineMetrics {
	for _, m := range t.app.Metrics {
		if !t.concerns(m.Processes, group) {
			continue
		}
		if metrics := (flygo.MachineMetrics{Port: m.Port, Path: m.Path, Https: m.HTTPS}); metrics != (flygo.MachineMetrics{}) {
			return &metrics
		}
		return nil
	}
	return nil
}

// command gives the group's cmd, entrypoint and exec. The last two come from experimental alone.
func (t *translator) command(group string) (cmd, entrypoint, exec []string) {
	cmd = t.split("processes."+group, t.app.Processes[group])
	if e := t.app.Experimental; e != nil {
		if cmd == nil {
			cmd = e.Cmd
		}
		entrypoint, exec = e.Entrypoint, e.Exec
	}
	return cmd, entrypoint, exec
}

func (t *translator) split(key, command string) []string {
	words, err := shlex.Split(command)
	if err != nil {
		t.bad(key, "cannot be split into words as a shell would: %v", err)
	}
	if len(words) == 0 {
		return nil
	}
	return words
}

func (t *translator) env(group string) map[string]string {
	env := merged(t.app.Env, t.flags.env)
	env["FLY_PROCESS_GROUP"] = group
	if region := t.primaryRegion(); region != "" {
		env["PRIMARY_REGION"] = region
	}
	return env
}

func (t *translator) statics() []*flygo.Static {
	var all []*flygo.Static
	for _, s := range t.app.Statics {
		if !strings.HasPrefix(s.GuestPath, "/") && s.TigrisBucket == "" {
			t.bad("statics.guest_path", "is %q; it must be an absolute path in the image, or name the bucket (tigris_bucket): FlyCD does not upload folders to Tigris", s.GuestPath)
		}
		all = append(all, &flygo.Static{
			GuestPath: s.GuestPath, UrlPrefix: s.URLPrefix,
			TigrisBucket: s.TigrisBucket, IndexDocument: s.IndexDocument,
		})
	}
	return all
}

func (t *translator) stopConfig() *flygo.StopConfig {
	if t.app.KillSignal == nil && t.app.KillTimeout == nil {
		return nil
	}
	return &flygo.StopConfig{Signal: t.app.KillSignal, Timeout: duration(t.app.KillTimeout)}
}

// restart gives the last section for the group; where there is none Fly's default holds.
func (t *translator) restart(group string) *flygo.MachineRestart {
	policies := map[string]flygo.MachineRestartPolicy{
		"always":     flygo.MachineRestartPolicyAlways,
		"on-failure": flygo.MachineRestartPolicyOnFailure,
		"never":      flygo.MachineRestartPolicyNo,
	}
	var last *flygo.MachineRestart
	for _, r := range t.app.Restart {
		policy, ok := policies[r.Policy]
		if !ok {
			t.bad("restart.policy", "is %q; it can be always, on-failure or never", r.Policy)
		}
		if t.concerns(r.Processes, group) {
			last = &flygo.MachineRestart{Policy: policy, MaxRetries: r.Retries}
		}
	}
	return last
}

func duration(d *manifest.Duration) *flygo.Duration {
	if d == nil {
		return nil
	}
	return &flygo.Duration{Duration: time.Duration(*d)}
}

// merged gives a new map, the later ones winning; it is never nil.
func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// headers gives check headers in the order of their names.
func headers(m map[string]string) []flygo.MachineHTTPHeader {
	var all []flygo.MachineHTTPHeader
	for name, value := range m {
		all = append(all, flygo.MachineHTTPHeader{Name: name, Values: []string{value}})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}
