package manifest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/google/shlex"
)

func (c checker) deploySection() {
	s := c.app.DeploySection
	if s == nil {
		return
	}
	if s.Strategy == "canary" && len(c.app.Mounts) > 0 {
		c.bad("deploy.strategy", "canary does not work with mounts; use rolling or immediate")
	}
	if s.MaxUnavailable != nil && *s.MaxUnavailable <= 0 {
		c.bad("deploy.max_unavailable", "expected a number above 0")
	}
	c.command("deploy.release_command", s.ReleaseCommand)
	c.command("deploy.seed_command", s.SeedCommand)
}

// command checks that a command can be split into words.
func (c checker) command(key, text string) {
	if _, err := shlex.Split(text); err != nil {
		c.bad(key, "cannot be split into words; a quote is not closed")
	}
}

func (c checker) commands() {
	c.command("console_command", c.app.ConsoleCommand)
	for _, name := range slices.Sorted(maps.Keys(c.app.Processes)) {
		c.command("processes."+name, c.app.Processes[name])
	}
}

func (c checker) checks() {
	for _, name := range slices.Sorted(maps.Keys(c.app.Checks)) {
		check, key := c.app.Checks[name], "checks."+name
		switch {
		case check == nil:
			c.bad(key, "expected keys and values, found nothing")
			continue
		case check.Type == "":
			c.bad(key+".type", "is missing; expected http or tcp")
		case check.Port == nil && c.app.HTTPService == nil:
			c.bad(key+".port", "is missing, and there is no http_service to take it from")
		}
		if check.Interval != nil && time.Duration(*check.Interval) < 2*time.Second {
			c.bad(key+".interval", "expected at least 2s, found %s", check.Interval)
		}
		if check.Timeout != nil && time.Duration(*check.Timeout) > time.Minute {
			c.bad(key+".timeout", "expected at most 1m0s, found %s", check.Timeout)
		}
	}
}

func (c checker) services() {
	if s := c.app.HTTPService; s != nil {
		c.serviceGroups("http_service", s.Processes)
		c.internalPort("http_service", s.InternalPort)
		for i, check := range s.Checks {
			c.clamped(fmt.Sprintf("http_service.checks[%d]", i), check.Interval, check.Timeout, check.GracePeriod)
		}
	}
	for i, s := range c.app.Services {
		key := fmt.Sprintf("services[%d]", i)
		c.serviceGroups(key, s.Processes)
		c.internalPort(key, s.InternalPort)
		if len(s.Ports) == 0 {
			c.note(key+".ports", "is missing; the service is reachable from nowhere")
		}
		for j, p := range s.Ports {
			c.port(fmt.Sprintf("%s.ports[%d]", key, j), p)
		}
		for j, check := range s.TCPChecks {
			c.clamped(fmt.Sprintf("%s.tcp_checks[%d]", key, j), check.Interval, check.Timeout, check.GracePeriod)
		}
		for j, check := range s.HTTPChecks {
			c.clamped(fmt.Sprintf("%s.http_checks[%d]", key, j), check.Interval, check.Timeout, check.GracePeriod)
		}
	}
}

func (c checker) internalPort(key string, port int) {
	if port == 0 {
		c.bad(key+".internal_port", "is missing; say which port the app listens on")
	}
}

// serviceGroups holds services to naming their groups where there are groups.
func (c checker) serviceGroups(key string, processes []string) {
	if len(processes) == 0 && len(c.app.Processes) > 0 {
		c.bad(key+".processes", "is missing; say which of %s the service belongs to", oneOf(c.app.groupNames()))
	}
	c.exist(key, processes)
}

// exist checks that process groups exist. Without a processes section a stray name beside one that
// exists is only worth a note: such manifests have always been deployed.
func (c checker) exist(key string, processes []string) {
	names := c.app.groupNames()
	known := func(p string) bool { return p == "" || slices.Contains(names, p) }
	say := c.bad
	if len(c.app.Processes) == 0 && slices.ContainsFunc(processes, known) {
		say = c.note
	}
	for i, p := range processes {
		if !known(p) {
			say(fmt.Sprintf("%s.processes[%d]", key, i), "there is no process group %q, only %s", clip(p), oneOf(names))
		}
	}
}

func (c checker) port(key string, p Port) {
	switch {
	case p.Port == nil && p.StartPort == nil && p.EndPort == nil:
		c.bad(key+".port", "is missing; expected port, or start_port and end_port")
	case (p.StartPort == nil) != (p.EndPort == nil):
		c.bad(key, "expected both start_port and end_port")
	case p.StartPort != nil && *p.StartPort > *p.EndPort:
		c.bad(key+".end_port", "expected at least start_port, which is %d", *p.StartPort)
	}
}

// clamped warns of durations that Fly changes.
func (c checker) clamped(key string, interval, timeout, grace *Duration) {
	for name, span := range map[string]*Duration{"interval": interval, "timeout": timeout} {
		if span != nil && time.Duration(*span) < time.Second {
			c.note(key+"."+name, "is less than 1s; Fly takes 1s")
		}
		if span != nil && time.Duration(*span) > time.Minute {
			c.note(key+"."+name, "is more than 1m; Fly takes 1m")
		}
	}
	if grace != nil && time.Duration(*grace) > time.Minute {
		c.note(key+".grace_period", "is more than 1m; Fly takes 1m")
	}
}

// groups checks the process groups of what is not a service.
func (c checker) groups() {
	a := c.app
	for i, s := range a.Mounts {
		c.exist(fmt.Sprintf("mounts[%d]", i), s.Processes)
	}
	for i, s := range a.Files {
		c.exist(fmt.Sprintf("files[%d]", i), s.Processes)
	}
	for i, s := range a.Metrics {
		c.exist(fmt.Sprintf("metrics[%d]", i), s.Processes)
	}
	for i, s := range a.VM {
		c.exist(fmt.Sprintf("vm[%d]", i), s.Processes)
	}
	for i, s := range a.Restart {
		c.exist(fmt.Sprintf("restart[%d]", i), s.Processes)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Checks)) {
		if check := a.Checks[name]; check != nil {
			c.exist("checks."+name, check.Processes)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Machines.Groups)) {
		if !slices.Contains(a.groupNames(), name) {
			c.bad("machines."+name, "there is no process group %q, only %s%s", clip(name), oneOf(a.groupNames()), meant(name, guestKeys()))
		}
	}
}

func guestKeys() []string {
	return []string{"count", "count_per_region", "ram_mb", "cpu_cores", "cpu_type", "size"}
}

func (c checker) mounts() {
	taken := map[string]int{}
	for i, m := range c.app.Mounts {
		key := fmt.Sprintf("mounts[%d]", i)
		if m.Source == "" {
			c.bad(key+".source", "is missing; say which volume is mounted")
		}
		if m.Destination == "" {
			c.bad(key+".destination", "is missing; say where the volume is mounted")
		}
		groups := m.Processes
		if len(groups) == 0 {
			groups = []string{c.app.defaultGroup()}
		}
		for _, g := range groups {
			if j, twice := taken[g]; twice {
				c.bad(key, "is a second mount of group %s (mounts[%d] is the first); a machine can have one", clip(g), j)
				break
			}
			taken[g] = i
		}
		c.mountSizes(key, m)
	}
}

func (c checker) mountSizes(key string, m Mount) {
	c.size(key+".initial_size", m.InitialSize, 1, math.MaxInt32)
	if r := m.SnapshotRetention; r != nil && (*r < 1 || *r > 60) {
		c.bad(key+".snapshot_retention", "expected 1 to 60 days, found %d", *r)
	}
	if m.AutoExtendSizeThreshold == 0 && m.AutoExtendSizeIncrement == "" && m.AutoExtendSizeLimit == "" {
		return
	}
	if m.AutoExtendSizeThreshold < 50 || m.AutoExtendSizeThreshold > 99 {
		c.bad(key+".auto_extend_size_threshold", "expected 50 to 99 percent")
	}
	if m.AutoExtendSizeIncrement == "" {
		c.bad(key+".auto_extend_size_increment", "is missing; it goes with the other auto_extend keys")
	}
	c.size(key+".auto_extend_size_increment", m.AutoExtendSizeIncrement, 1, 100)
	if strings.Trim(m.AutoExtendSizeLimit, "0") != "" {
		c.size(key+".auto_extend_size_limit", m.AutoExtendSizeLimit, 1, 500)
	}
}

// size checks a size of a volume: a number of GB, or a size with a unit.
func (c checker) size(key, text string, least, most int64) {
	if text == "" {
		return
	}
	gb, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		var bytes int64
		bytes, err = units.FromHumanSize(text)
		gb = bytes / units.GB
	}
	switch {
	case err != nil:
		c.bad(key, "expected a size such as 10gb, found %q", clip(text))
	case gb < least:
		c.bad(key, "expected at least %dgb, found %s", least, text)
	case gb > most:
		c.bad(key, "expected at most %dgb, found %s", most, text)
	}
}
