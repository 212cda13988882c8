package adopt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// object is a JSON object; its numbers are json.Number.
type object = map[string]any

// account is what is known of the app.
type account struct {
	plan.Observed
	version    int
	definition object
	groups     map[string]*group
	// scheduled are the machines of FlyCD's schedules.
	scheduled []plan.Machine
	foreign   []plan.Machine
	image     string
	pinned    bool
}

// group is the machines of one process group.
type group struct {
	name string
	// active are all but the standbys, in the order of their ids.
	active, standbys []plan.Machine
	// config is that of most of the machines.
	config object
	// alike reports that all machines have that config, but for their sizes.
	alike bool
	// guest is the size of all machines; nil where they differ.
	guest object
}

func accountOf(o plan.Observed, last *Release) (*account, error) {
	a := &account{Observed: o, groups: map[string]*group{}}
	if !o.Exists {
		return nil, job.Rejectf("there is no app %s, or the token may not see it: `fly apps list` shows those that it may", o.App)
	}
	for _, m := range o.Machines {
		if m.Machine == nil || !m.IsActive() || ephemeral(m.ProcessGroup()) {
			continue
		}
		if err := a.count(m); err != nil {
			return nil, err
		}
	}
	if len(a.groups) == 0 {
		return nil, job.Rejectf("app %s has no machine that a deploy made, so there is nothing to describe: deploy it once, or write its app.yaml by hand", o.App)
	}
	for _, g := range a.groups {
		if err := g.settle(); err != nil {
			return nil, err
		}
	}
	a.chooseImage()
	return a, a.read(last)
}

// read takes over the release's definition.
func (a *account) read(last *Release) error {
	if last == nil || len(bytes.TrimSpace(last.Definition)) == 0 {
		return nil
	}
	definition, err := decode(last.Definition)
	if err != nil {
		return fmt.Errorf("read release %d of %s: %w", last.Version, a.App, err)
	}
	if len(definition) > 0 {
		a.definition, a.version = definition, last.Version
	}
	return nil
}

// count puts a machine where it belongs, by the rules of plan.Diff.
func (a *account) count(m plan.Machine) error {
	name := m.ProcessGroup()
	if name == "" && m.IsAppsV2() {
		name = flygo.MachineProcessGroupApp
	}
	config := m.GetConfig()
	if m.GetMetadataByKey(machine.MetaSchedule) != "" && m.Config != nil {
		a.scheduled = append(a.scheduled, m)
		return nil
	}
	if name == "" || config != nil && (config.Schedule != "" || config.AutoDestroy) {
		a.foreign = append(a.foreign, m)
		return nil
	}
	if m.Config == nil {
		return fmt.Errorf("machine %s is on a host that Fly cannot reach now, so its configuration is not known: try again when the host is back", title(m))
	}
	g := a.groups[name]
	if g == nil {
		g = &group{name: name}
		a.groups[name] = g
	}
	if len(config.Standbys) > 0 && len(config.Services) == 0 {
		g.standbys = append(g.standbys, m)
		return nil
	}
	g.active = append(g.active, m)
	return nil
}

func ephemeral(group string) bool {
	return slices.Contains([]string{
		flygo.MachineProcessGroupFlyAppReleaseCommand,
		flygo.MachineProcessGroupFlyAppTestMachineCommand,
		flygo.MachineProcessGroupFlyAppConsole,
	}, group)
}

// settle finds what the group's machines have in common.
func (g *group) settle() error {
	g.alike = true
	seen, first := map[string]int{}, map[string]object{}
	guests := map[string]object{}
	most := ""
	for _, m := range slices.Concat(g.active, g.standbys) {
		config, err := configOf(m)
		if err != nil {
			return fmt.Errorf("read machine %s: %w", title(m), err)
		}
		guest, _ := config["guest"].(object)
		guests[textOf(guest)] = guest
		key := textOf(likeness(config))
		if seen[key]++; first[key] == nil {
			first[key] = config
		}
		if most == "" || seen[key] > seen[most] {
			most = key
		}
	}
	g.config, g.alike = first[most], len(first) == 1
	if len(guests) == 1 {
		g.guest, _ = g.config["guest"].(object)
	}
	return nil
}

// likeness leaves out what machines of one group may differ in.
func likeness(config object) object {
	out := maps.Clone(config)
	for _, key := range []string{"guest", "image", "metadata", "standbys", "dns"} {
		delete(out, key)
	}
	out["env"] = ownEnv(config)
	var mounts []any
	for _, m := range listOf(config, "mounts") {
		mount := maps.Clone(asObject(m))
		for _, key := range []string{"volume", "size_gb", "encrypted"} {
			delete(mount, key)
		}
		mounts = append(mounts, mount)
	}
	out["mounts"] = mounts
	return out
}

// ownEnv is the environment without what the platform, flyctl and FlyCD put there.
func ownEnv(config object) object {
	env := maps.Clone(asObject(config["env"]))
	maps.DeleteFunc(env, func(name string, _ any) bool {
		return strings.HasPrefix(name, "FLYCD_") || slices.Contains([]string{"FLY_PROCESS_GROUP", "PRIMARY_REGION", "FLY_STANDBY_FOR"}, name)
	})
	return env
}

func configOf(m plan.Machine) (object, error) {
	if len(m.Raw) > 0 {
		return decode(m.Raw)
	}
	raw, err := json.Marshal(m.Config)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

func decode(raw []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var o object
	err := dec.Decode(&o)
	return o, err
}

// chooseImage takes the image that most machines run, by its digest where that is known.
func (a *account) chooseImage() {
	seen := map[string]int{}
	for _, name := range a.names() {
		for _, m := range slices.Concat(a.groups[name].active, a.groups[name].standbys) {
			image := imageOf(m)
			if seen[image]++; a.image == "" || seen[image] > seen[a.image] {
				a.image = image
			}
		}
	}
	a.pinned = strings.Contains(a.image, "@")
}

// imageOf gives the machine's image with its digest. Fly's mirror of Docker Hub is known inside Fly
// alone, so it is called by the name of what it mirrors.
func imageOf(m plan.Machine) string {
	name, digest, _ := strings.Cut(m.Config.Image, "@")
	if rest, ok := strings.CutPrefix(name, "docker-hub-mirror.fly.io/"); ok {
		name = "docker.io/" + rest
	}
	if digest = cmp.Or(m.ImageRef.Digest, digest); digest == "" {
		return name
	}
	return name + "@" + digest
}

// metadata is that of the group's first machine.
func (g *group) metadata() map[string]string {
	for _, m := range slices.Concat(g.active, g.standbys) {
		return m.Config.Metadata
	}
	return nil
}

// names are the groups in the order of their names.
func (a *account) names() []string { return slices.Sorted(maps.Keys(a.groups)) }

// main is the group that sections without processes belong to.
func (a *account) main() *group { return a.groups[machine.DefaultGroup(a.names())] }

func title(m plan.Machine) string {
	if m.Name == "" {
		return m.ID
	}
	return m.Name + " (" + m.ID + ")"
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

func listOf(o object, key string) []any {
	l, _ := o[key].([]any)
	return l
}

func stringOf(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

// textOf is a value's JSON, by which values are compared.
func textOf(v any) string {
	raw, err := json.Marshal(v) // came from JSON
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}
