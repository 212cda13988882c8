package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
)

const (
	defaultMaxUnavailable = 0.33
	defaultWaitTimeout    = 5 * time.Minute
)

// translator carries one translation: the manifest, the files that it names, and what was found.
type translator struct {
	app      *manifest.App
	in       Inputs
	flags    flags
	warnings []string
	problems []error
}

func translate(app *manifest.App, in Inputs) (Target, error) {
	t := &translator{app: app, in: in}
	t.flags = t.readFlags()
	target := t.target()
	if len(t.problems) > 0 {
		return Target{}, errors.Join(distinct(t.problems)...)
	}
	slices.Sort(t.warnings)
	target.Warnings = slices.Compact(t.warnings)
	return target, nil
}

// distinct orders the problems and leaves each out that a section of several groups had twice.
func distinct(problems []error) []error {
	slices.SortStableFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return slices.CompactFunc(problems, func(a, b error) bool { return a.Error() == b.Error() })
}

func (t *translator) target() Target {
	t.checkProcesses()
	target := Target{
		App:            t.appName(),
		Org:            first(t.app.Org, t.flags.org),
		Network:        t.app.Network.Name,
		PrimaryRegion:  t.primaryRegion(),
		Strategy:       t.strategy(),
		MaxUnavailable: t.maxUnavailable(),
		WaitTimeout:    t.waitTimeout(),
		Files:          t.files(),
		IPs:            t.ips(),
		PruneIPs:       t.app.Network.AutoPruneIPs,
		DefaultIPs:     t.defaultIPs(),
	}
	for _, name := range t.groupNames() {
		g := t.group(name)
		target.Groups = append(target.Groups, g)
		target.Volumes = append(target.Volumes, t.volumes(name, g.Config)...)
		target.Checks = append(target.Checks, t.machineChecks(name)...)
	}
	target.ReleaseCommand = t.release("deploy.release_command", t.deploySection().ReleaseCommand)
	target.ReleaseCommandTimeout = t.releaseTimeout()
	target.SeedCommand = t.release("deploy.seed_command", t.deploySection().SeedCommand)
	target.CommandGuest = t.commandGuest()
	target.Schedules = t.schedules(target.Groups)
	t.own(&target)
	t.warnUnused()
	return target
}

// own fills in what only FlyCD's keys say.
func (t *translator) own(target *Target) {
	target.Secrets = t.secretNames()
	target.PruneSecrets = t.app.SecretsPrune
	target.Certs = t.certs()
	target.Addons = t.addons()
	target.Prune = t.app.Sync.Prune != nil && *t.app.Sync.Prune
	target.Ignore = t.app.Sync.Ignore
}

func (t *translator) appName() string {
	name := first(t.app.Name, t.flags.name)
	if name == "" {
		t.bad("app", "is missing; give the app a name of lower-case letters, digits and hyphens")
	}
	return name
}

func (t *translator) primaryRegion() string {
	return first(t.flags.primary, t.app.PrimaryRegion, t.flags.region)
}

// deploySection is never nil.
func (t *translator) deploySection() *manifest.DeploySection {
	if t.app.DeploySection == nil {
		return &manifest.DeploySection{}
	}
	return t.app.DeploySection
}

func (t *translator) strategy() string {
	known := []string{"rolling", "immediate", "canary", "bluegreen"}
	s := first(t.flags.strategy, t.deploySection().Strategy)
	if s != "" && !slices.Contains(known, s) {
		t.bad("deploy.strategy", "is %q; it can be rolling, immediate, canary or bluegreen", s)
	}
	if s == "canary" && len(t.app.Mounts) > 0 {
		t.bad("deploy.strategy", "canary does not go with mounts, since a canary would need the volume of the machine it precedes; use rolling")
	}
	return s
}

func (t *translator) maxUnavailable() float64 {
	n := t.deploySection().MaxUnavailable
	if n == nil {
		return defaultMaxUnavailable
	}
	if *n <= 0 {
		t.bad("deploy.max_unavailable", "is %v; it must be above 0: below 1 a share of the group, else a number of machines", *n)
	}
	return *n
}

func (t *translator) waitTimeout() time.Duration {
	d := t.deploySection().WaitTimeout
	if t.flags.wait > 0 {
		return t.flags.wait
	}
	if d == nil {
		return defaultWaitTimeout
	}
	if *d <= 0 {
		t.bad("deploy.wait_timeout", "is %s; it must be longer than 0, such as 5m", *d)
	}
	return time.Duration(*d)
}

// bad notes a problem at a key of the manifest.
func (t *translator) bad(key, format string, args ...any) {
	t.problems = append(t.problems, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// ignored notes what flyctl accepts and leaves out in silence. It is a problem, or where people are lenient
// a warning.
func (t *translator) ignored(key, format string, args ...any) {
	if t.app.Lenient {
		t.warn(key, format, args...)
		return
	}
	t.bad(key, format, args...)
}

// warn notes what is understood but has no effect.
func (t *translator) warn(key, format string, args ...any) {
	t.warnings = append(t.warnings, key+": "+fmt.Sprintf(format, args...))
}

func (t *translator) warnUnused() {
	if e := t.app.Experimental; e != nil {
		for key, on := range map[string]bool{"enable_consul": e.EnableConsul, "enable_etcd": e.EnableEtcd} {
			if on {
				t.warn("experimental."+key, "has no effect")
			}
		}
		if e.LazyLoadImages {
			t.warn("experimental.lazy_load_images", "has no effect: Fly took the feature away")
		}
		if e.AutoRollback {
			t.warn("experimental.auto_rollback", "has no effect, as in flyctl; on_failure says what happens when a deploy fails")
		}
	}
	t.warnUnmounted()
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
