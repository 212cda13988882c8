package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gigurra/flycd/shared/machine"
)

// Diff decides what has to happen for Fly to hold what is wanted. It is pure; the same input gives
// the same plan, step by step. The plan is empty when nothing differs but what Fly fills in or
// echoes in another form, stamps of other tools, and commits.
//
// The error is a sentence for a person: what is wanted cannot be reached from what is there. A
// *Refused is one that the manifest has to change for; no attempt can help it.
func Diff(o Observed, want Intent) (Plan, error) {
	all, err := decideAll(o, want)
	if err != nil {
		return Plan{}, err
	}
	return all.plan(o, want), nil
}

// Refused is an error that no further attempt can help: the manifest, or what is on Fly, has to be
// changed by somebody.
type Refused struct{ Reason string }

// Error gives the reason.
func (r *Refused) Error() string { return r.Reason }

func refused(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// decisions are those of all groups and what they share.
type decisions struct {
	groups  []decision
	volumes []CreateVolume
	removed []DestroyMachine
	notes   []string
}

func decideAll(o Observed, want Intent) (decisions, error) {
	if err := refuse(o, want); err != nil {
		return decisions{}, err
	}
	members := membersOf(o, want.Target)
	all := decisions{notes: slices.Concat(notesOf(o, want), members.notes)}
	d := newDecider(o, want)
	for _, g := range want.Target.Groups {
		dec, err := d.decide(g, members.groups[g.Name])
		if err != nil {
			return decisions{}, err
		}
		all.groups = append(all.groups, dec)
		all.notes = append(all.notes, dec.notes...)
	}
	for _, m := range members.removed {
		all.removed = append(all.removed, DestroyMachine{
			App: want.Target.App, Machine: m, Why: fmt.Sprintf("the manifest has no process group %q", m.ProcessGroup()),
		})
	}
	all.volumes = d.makes
	all.notes = append(all.notes, d.pending()...)
	return all, nil
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
	if s := want.Target.Strategy; s == "canary" || s == "bluegreen" {
		notes = append(notes, fmt.Sprintf("deploy.strategy: %s is not done yet; machines are updated rolling, the first of each group alone", s))
	}
	if want.Target.ReleaseCommand != nil {
		notes = append(notes, "deploy.release_command: the plan does not run it yet")
	}
	if o.Exists && o.Org != "" && want.Target.Org != "" && o.Org != want.Target.Org {
		notes = append(notes, fmt.Sprintf("org: the app is in organisation %s and stays there; FlyCD does not move apps between organisations (the manifest says %s)", o.Org, want.Target.Org))
	}
	if want.Target.DefaultIPs == "dedicated" && len(o.IPs) == 0 {
		notes = append(notes, "network.ips: the services need dedicated addresses, which cost money and are not allocated unasked; name them, such as {v: v4} and {v: v6}")
	}
	return notes
}

// addresses gives the steps for the addresses: those that are named, or flyctl's for a first deploy.
func (all decisions) addresses(o Observed, want Intent) (allocate []AllocateIP, release []ReleaseIP) {
	wanted := want.Target.IPs
	prune := want.Target.PruneIPs
	if len(wanted) == 0 && want.Target.DefaultIPs == "shared" && all.firstDeploy() && onlyV6(o) {
		wanted, prune = []machine.IP{{Type: "v6"}, {Type: "shared_v4"}}, false
	}
	left := slices.Clone(o.IPs)
	for _, ip := range wanted {
		i := slices.IndexFunc(left, func(have IP) bool { return meets(have, ip) })
		if i < 0 {
			allocate = append(allocate, AllocateIP{App: want.Target.App, IP: ip})
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if !prune || len(want.Target.IPs) == 0 {
		return allocate, nil
	}
	for _, ip := range left {
		release = append(release, ReleaseIP{App: want.Target.App, Address: ip.Address})
	}
	return allocate, release
}

// firstDeploy is true while no group has a machine and some are about to be made. A deploy that was
// cut off between two addresses is still a first one.
func (all decisions) firstDeploy() bool {
	creates := 0
	for _, d := range all.groups {
		if len(d.kept)+len(d.updates)+len(d.replaces)+len(d.destroys) > 0 {
			return false
		}
		creates += len(d.creates)
	}
	return creates > 0
}
