package plan

import (
	"fmt"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

// members are an app's machines by what they are to the target.
type members struct {
	groups, schedules map[string][]Machine
	// unscheduled are of schedules that the manifest no longer has.
	unscheduled []Machine
	// removed are of groups that the manifest no longer has.
	removed []Machine
	notes   []string
}

// membersOf sorts the machines. A machine is adopted where its group is the target's, whoever made
// it. One of another group goes only if a deploy made it; whatever else is there is left alone.
func membersOf(o Observed, target machine.Target) members {
	var names []string
	for _, g := range target.Groups {
		names = append(names, g.Name)
	}
	all := members{groups: map[string][]Machine{}, schedules: map[string][]Machine{}}
	for _, m := range sorted(o.Machines) {
		group := groupOf(m, names)
		switch {
		case m.Machine == nil || !m.IsActive() || ephemeral(m.ProcessGroup()):
		case m.GetMetadataByKey(MetaSchedule) != "":
			all.schedule(m, target)
		case foreign(m, group):
			all.notes = append(all.notes, fmt.Sprintf("machine %s is left alone: no deploy made it", titleOf(m)))
		case slices.Contains(names, group):
			all.groups[group] = append(all.groups[group], m)
		case deployed(m):
			all.removed = append(all.removed, m)
		default:
			all.notes = append(all.notes, fmt.Sprintf("machine %s is left alone: its group %q is not in the manifest, and no deploy made it", titleOf(m), group))
		}
	}
	return all
}

// schedule is about a machine that FlyCD made for a schedule.
func (all *members) schedule(m Machine, target machine.Target) {
	name := m.GetMetadataByKey(MetaSchedule)
	switch {
	case slices.ContainsFunc(target.Schedules, func(g machine.Group) bool { return g.Name == name }):
		all.schedules[name] = append(all.schedules[name], m)
	case !ignoredOf(target).covers("schedules", name):
		all.unscheduled = append(all.unscheduled, m)
	}
}

// wanted are the machines of the target's groups and schedules, in the order of their ids.
func (all *members) wanted() []Machine {
	var out []Machine
	for _, m := range all.groups {
		out = append(out, m...)
	}
	for _, m := range all.schedules {
		out = append(out, m...)
	}
	return sorted(out)
}

func sorted(machines []Machine) []Machine {
	all := slices.Clone(machines)
	slices.SortStableFunc(all, func(a, b Machine) int { return strings.Compare(idOf(a), idOf(b)) })
	return all
}

func idOf(m Machine) string {
	if m.Machine == nil {
		return ""
	}
	return m.ID
}

// groupOf gives the machine's group. One that flyctl made before there were groups belongs to the
// default one.
func groupOf(m Machine, names []string) string {
	if m.Machine == nil {
		return ""
	}
	group := m.ProcessGroup()
	if group == "" && m.IsAppsV2() {
		return machine.DefaultGroup(names)
	}
	return group
}

// foreign is true of machines that no deploy has to do with: without a group, run by a schedule, or
// gone when their process ends.
func foreign(m Machine, group string) bool {
	config := m.GetConfig()
	return group == "" || config == nil || config.Schedule != "" || config.AutoDestroy
}

// deployed reports whether FlyCD or flyctl deployed the machine.
func deployed(m Machine) bool {
	for key := range m.GetConfig().Metadata {
		if strings.HasPrefix(key, "flycd_") || key == flygo.MachineConfigMetadataKeyFlyReleaseId {
			return true
		}
	}
	return false
}

// ephemeral is true of the groups that flyctl makes for a moment.
func ephemeral(group string) bool {
	return slices.Contains([]string{
		flygo.MachineProcessGroupFlyAppReleaseCommand,
		flygo.MachineProcessGroupFlyAppTestMachineCommand,
		flygo.MachineProcessGroupFlyAppConsole,
	}, group)
}

// reachable is false where Fly cannot reach the machine's host; its config is incomplete then and
// is never written back.
func reachable(m Machine) bool {
	return m.Machine != nil && m.Config != nil && (m.HostStatus == "" || m.HostStatus == flygo.HostStatusOk)
}

func isStandby(m Machine) bool {
	config := m.GetConfig()
	return config != nil && len(config.Standbys) > 0
}

func mountsOf(m Machine) []flygo.MachineMount {
	if config := m.GetConfig(); config != nil {
		return config.Mounts
	}
	return nil
}

// awake is true of machines that run or are about to, as those are whose deployer was killed, and of
// those that crashed: an update starts them again, where flyctl leaves a crashed machine stopped.
func awake(m Machine) bool {
	switch m.State {
	case flygo.MachineStateStarted, "starting", "failed":
		return true
	case flygo.MachineStateStopped, flygo.MachineStateSuspended, "stopping", "suspending":
		return crashed(m)
	}
	return !isStandby(m)
}

// crashed is true of a machine that stopped by itself with an error and is not restarted. Without
// events nothing is known, and it counts as stopped by somebody.
func crashed(m Machine) bool {
	if m.State == "failed" {
		return true
	}
	if m.State != flygo.MachineStateStopped {
		return false
	}
	event := m.GetLatestEventOfType("exit")
	if event == nil || event.Request == nil {
		return false
	}
	exit := event.Request.ExitEvent
	if monitor := event.Request.MonitorEvent; monitor != nil && monitor.ExitEvent != nil {
		exit = monitor.ExitEvent
	}
	if exit == nil {
		return false
	}
	if config := m.GetConfig(); config != nil && config.Restart != nil && config.Restart.Policy == flygo.MachineRestartPolicyNo {
		return false
	}
	return !exit.RequestedStop && (exit.ExitCode != 0 || exit.OOMKilled)
}

// titleOf names a machine to a person.
func titleOf(m Machine) string {
	if m.Name == "" {
		return m.ID
	}
	return m.Name + " (" + m.ID + ")"
}
