package adopt

import (
	"maps"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// schedules writes the schedules that FlyCD made. Machines that run by the clock and that somebody else
// made are others' machines.
func (c *composition) schedules() {
	var all []any
	for _, m := range c.scheduled {
		config, err := configOf(m)
		if err != nil {
			continue // the account has read it before
		}
		env := ownEnv(config)
		maps.DeleteFunc(env, func(name string, value any) bool { return asObject(c.doc["env"])[name] == value })
		one := object{
			"name": m.GetMetadataByKey(machine.MetaSchedule), "every": config["schedule"],
			"command": quoted(listOf(asObject(config["init"]), "cmd")), "env": env,
		}
		if m.Region != c.primary {
			one["region"] = m.Region
		}
		if guest := asObject(config["guest"]); guest != nil {
			one["vm"] = sizeOf(guest)
		}
		all = append(all, clean(one))
	}
	set(c.doc, "schedules", all)
}

// unsealed is what was observed without the metadata that FlyCD itself writes, which says from which
// manifest an app was deployed and not what it is.
func (a *account) unsealed() (plan.Observed, error) {
	o := a.Observed
	o.Machines = slices.Clone(o.Machines)
	for i, m := range o.Machines {
		if m.Machine == nil || m.Config == nil || !slices.ContainsFunc(slices.Collect(maps.Keys(m.Config.Metadata)), sealed) {
			continue
		}
		config, err := configOf(m)
		if err != nil {
			return o, err
		}
		metadata := maps.Clone(asObject(config["metadata"]))
		maps.DeleteFunc(metadata, func(name string, _ any) bool { return sealed(name) })
		config["metadata"] = metadata
		copied, plain := *m.Machine, *m.Config
		plain.Metadata = maps.Clone(m.Config.Metadata)
		maps.DeleteFunc(plain.Metadata, func(name, _ string) bool { return sealed(name) })
		copied.Config = &plain
		o.Machines[i] = plan.Machine{Machine: &copied, Raw: []byte(textOf(config))}
	}
	return o, nil
}

// sealed is true of FlyCD's metadata, but for what makes a machine a schedule's.
func sealed(name string) bool {
	return strings.HasPrefix(name, "flycd_") && name != machine.MetaSchedule
}
