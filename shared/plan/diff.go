package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// Diff decides what has to happen for Fly to hold what is wanted. It is pure; the same input gives
// the same plan, step by step. The plan is empty when nothing differs but what Fly fills in or
// echoes in another form, stamps of other tools, and commits.
//
// The error is a sentence for a person: what is wanted cannot be reached from what is there. A
// *Refused is one that the manifest has to change for; no attempt can help it.
func Diff(o Observed, want Intent) (Plan, error) {
	o = ordered(o)
	all, err := decideAll(o, want)
	if err != nil {
		return Plan{}, err
	}
	return all.plan(o, want)
}

// Refused is an error that no further attempt can help: the manifest, or what is on Fly, has to be
// changed by somebody.
type Refused struct{ Reason string }

// Error gives the reason.
func (r *Refused) Error() string { return r.Reason }

func refused(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// decisions are those of all groups and what they share.
type decisions struct {
	groups, schedules []decision
	secrets           secrets
	addons            []machine.Addon
	lost              []DestroyAddon
	volumes           []CreateVolume
	kept              volumeSteps
	removed           []DestroyMachine
	commands          commander
	notes             []string
}

func decideAll(o Observed, want Intent) (*decisions, error) {
	if err := refuse(o, want); err != nil {
		return nil, err
	}
	members := membersOf(o, want.Target)
	have := members.wanted()
	all := &decisions{
		notes: slices.Concat(notesOf(o, want), members.notes), addons: newAddons(o, want), commands: newCommander(o, want, have),
	}
	d := newDecider(o, want)
	var err error
	if d.secrets, err = decideSecrets(o, want, have); err != nil {
		return nil, err
	}
	all.secrets = d.secrets
	for _, g := range want.Target.Groups {
		dec, err := d.decide(g, members.groups[g.Name])
		if err != nil {
			return nil, err
		}
		all.groups = append(all.groups, dec)
		all.notes = append(all.notes, dec.notes...)
	}
	if err := all.refuseUnchecked(); err != nil {
		return nil, err
	}
	for _, m := range members.removed {
		d.going[m.ID] = true
		all.removed = append(all.removed, DestroyMachine{
			App: want.Target.App, Machine: m, Why: fmt.Sprintf("the manifest has no process group %q", m.ProcessGroup()),
		})
	}
	var unscheduled []DestroyMachine
	if all.schedules, unscheduled, err = d.decideSchedules(members); err != nil {
		return nil, err
	}
	all.removed = append(all.removed, unscheduled...)
	all.volumes = d.makes
	if all.kept, err = d.volumesOf(all); err != nil {
		return nil, err
	}
	all.notes = append(all.notes, all.kept.notes...)
	return all, nil
}

// ordered makes the plan the same in whatever order Fly lists things.
func ordered(o Observed) Observed {
	o.Machines = sorted(o.Machines)
	o.Volumes, o.IPs, o.Certs = slices.Clone(o.Volumes), slices.Clone(o.IPs), slices.Clone(o.Certs)
	slices.SortStableFunc(o.Volumes, func(a, b flygo.Volume) int { return strings.Compare(a.ID, b.ID) })
	slices.SortStableFunc(o.IPs, func(a, b IP) int { return strings.Compare(a.Address, b.Address) })
	slices.SortStableFunc(o.Certs, func(a, b Cert) int { return strings.Compare(a.Hostname, b.Hostname) })
	return o
}

// refuseUnchecked keeps a bluegreen deploy from switching over to machines of which nothing is known, as
// flyctl does: some machine of the app has to have a check.
func (all *decisions) refuseUnchecked() error {
	greens := false
	for _, dec := range all.groups {
		if hasChecks(dec.config) {
			return nil
		}
		greens = greens || len(dec.greens) > 0
	}
	if greens {
		return refused("deploy.strategy: bluegreen needs a check to tell that the green machines work, and the app has none: write one under http_service.checks, services or checks, or use rolling")
	}
	return nil
}

// refuse names what no plan can reach.
func refuse(o Observed, want Intent) error {
	switch {
	case want.Target.App == "":
		return errors.New("the target names no app")
	case o.App != "" && o.App != want.Target.App:
		return fmt.Errorf("observed app %s, and the target is for %s", o.App, want.Target.App)
	case want.Image == "":
		return errors.New("the intent names no image")
	}
	return nil
}

// notesOf are the sentences about the app as a whole.
func notesOf(o Observed, want Intent) []string {
	var notes []string
	if o.Exists && o.Org != "" && want.Target.Org != "" && o.Org != want.Target.Org {
		notes = append(notes, fmt.Sprintf("org: the app is in organisation %s and stays there; FlyCD does not move apps between organisations (the manifest says %s)", o.Org, want.Target.Org))
	}
	if want.Target.DefaultIPs == "dedicated" && len(o.IPs) == 0 {
		notes = append(notes, "network.ips: the services need dedicated addresses, which cost money and are not allocated unasked; name them, such as {v: v4} and {v: v6}")
	}
	return notes
}

// firstDeploy is true while no group has a machine and some are about to be made. A deploy that was
// cut off between two addresses is still a first one.
func (all *decisions) firstDeploy() bool {
	creates := 0
	for _, d := range all.groups {
		if len(d.kept)+len(d.updates)+len(d.replaces)+len(d.greens)+len(d.destroys) > 0 {
			return false
		}
		creates += len(d.creates)
	}
	return creates > 0
}
