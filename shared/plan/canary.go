package plan

import flygo "github.com/superfly/fly-go"

// tryOut plans a canary for a group whose machines get another version: a machine beside them that
// other machines do not find by name, and that goes once it is proven. A group that is only made or
// scaled has none.
func (d *decider) tryOut(dec *decision) error {
	if d.want.Target.Strategy != "canary" || len(dec.updates)+len(dec.replaces) == 0 {
		return nil
	}
	if len(dec.config.Mounts) > 0 {
		return refused("deploy.strategy: canary does not go with mounts, since the canary of group %s would need a volume of its own; use rolling", dec.group.Name)
	}
	config, err := clone(dec.config)
	if err != nil {
		return err
	}
	if config.DNS == nil {
		config.DNS = &flygo.DNSConfig{}
	}
	config.DNS.SkipRegistration = true
	config.Metadata[MetaCanary] = "true"
	step := CreateMachine{App: d.want.Target.App, Group: dec.group.Name, Region: beside(dec.group.Regions[0], dec.staying()), Config: config}
	for step.Name = d.canaryName(step); d.names[step.Name]; step.Name = d.canaryName(step) {
		step.Ordinal++
	}
	d.names[step.Name] = true
	dec.canary = &step
	return nil
}

func (d *decider) canaryName(s CreateMachine) string {
	return nameOf(s.App, s.Group+"-canary", s.Region, s.Ordinal)
}

// away is the step that ends the canary. Fly gives it an id only when it is made.
func away(canary CreateMachine) DestroyMachine {
	return DestroyMachine{
		App: canary.App, Why: "the canary has proven the version",
		Machine: Machine{Machine: &flygo.Machine{Name: canary.Name, Region: canary.Region, Config: canary.Config}},
	}
}
