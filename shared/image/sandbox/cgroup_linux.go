package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the cgroups of one sandbox. The topmost has the limits; inner is the root that the sandbox sees, so that
// nothing inside can touch the limits above it; the program and foreign code have one each below, so that what
// foreign code uses up is not the program's.
const (
	innerGroup   = "inner"
	programGroup = "program"
	buildGroup   = "build"
)

// cgroup is one sandbox's cgroups in all hierarchies of the machine.
type cgroup struct {
	name   string
	trees  []hierarchy
	limits Limits
}

// findCgroup looks at what the machine has; without both a memory and a pids controller there is no sandbox.
func findCgroup(name string, limits Limits) (cgroup, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroup{}, fmt.Errorf("read mounts: %w", err)
	}
	g := cgroup{name: name, trees: parseHierarchies(string(text)), limits: limits}
	for _, c := range []string{"memory", "pids"} {
		if !slices.ContainsFunc(g.trees, func(h hierarchy) bool { return h.has(c) || h.offers(c) }) {
			return g, fmt.Errorf("%w: no cgroup has the %s controller, so that builds could not be limited; mount cgroups at /sys/fs/cgroup, "+
				"or start the kernel with cgroup_enable=%s", ErrUnavailable, c, c)
		}
	}
	return g, nil
}

// offers tells whether the version 2 hierarchy has a controller.
func (h hierarchy) offers(controller string) bool {
	if h.Options != "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(h.Mount, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(text)), controller)
}

func (h hierarchy) top(name string) string { return filepath.Join(h.Mount, name) }

// up makes the groups and moves the process pid into them.
func (g cgroup) up(pid int) error {
	for _, h := range g.trees {
		if err := g.upIn(h, pid); err != nil {
			return fmt.Errorf("%w: make cgroup in %s (it must be mounted for writing): %w", ErrUnavailable, h.Mount, err)
		}
	}
	return nil
}

func (g cgroup) upIn(h hierarchy, pid int) error {
	top := h.top(g.name)
	if err := h.delegate(h.Mount); err != nil {
		return err
	}
	if err := makeGroup(h, top); err != nil {
		return err
	}
	for _, v := range g.outer(h) {
		if err := v.write(top); err != nil {
			return err
		}
	}
	if err := h.delegate(top); err != nil {
		return err
	}
	inner := filepath.Join(top, innerGroup)
	if err := makeGroup(h, inner); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600)
}

// makeGroup makes one cgroup that processes can join.
func makeGroup(h hierarchy, path string) error {
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // modes mean nothing there
		return err //nolint:wrapcheck // the path is in it
	}
	if !h.has("cpuset") {
		return nil
	}
	// version 1 gives a new group neither processors nor memory, and lets nobody in without
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), file)) //nolint:gosec // a cgroup of ours
		if err != nil {
			return err //nolint:wrapcheck // the path is in it
		}
		if err := os.WriteFile(filepath.Join(path, file), text, 0o600); err != nil { //nolint:gosec // a cgroup of ours
			return err //nolint:wrapcheck // the path is in it
		}
	}
	return nil
}

// delegate lets the groups below a version 2 group have controllers.
func (h hierarchy) delegate(path string) error {
	if h.Options != "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(path, "cgroup.controllers")) //nolint:gosec // a cgroup of ours
	if err != nil {
		return err //nolint:wrapcheck // the path is in it
	}
	for _, c := range strings.Fields(string(text)) {
		err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+c), 0o600) //nolint:gosec // a cgroup of ours
		if err != nil && (c == "memory" || c == "pids") {
			return fmt.Errorf("pass on the %s controller: %w", c, err)
		}
	}
	return nil
}

// setting is one file of a cgroup and what is written there.
type setting struct {
	file, value string
	// wish may fail: not every kernel has it.
	wish bool
}

func (s setting) write(dir string) error {
	err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0o600)
	if s.wish || err == nil {
		return nil
	}
	return err //nolint:wrapcheck // the path is in it
}

// programPids is what the program and its init may have beside foreign code.
const programPids = 1024

// outer are the limits of everything in a sandbox.
func (g cgroup) outer(h hierarchy) []setting {
	all := bounds(h, g.limits.Memory, g.limits.Pids+programPids)
	switch {
	case h.Options == "":
		all = append(all, setting{"cpu.weight", "50", true})
	case h.has("cpu"):
		// the runner must come to its turn to keep its claim, however busy a build is
		all = append(all, setting{"cpu.shares", "512", true})
	case h.has("devices"):
		all = append(all, deviceSettings()...)
	}
	return all
}

// inner are the limits of foreign code, which leave the program its share.
func (l Limits) inner(h hierarchy) []setting {
	return bounds(h, l.Memory-l.programMemory(), l.Pids)
}

// programMemory is what is kept for the program: an eighth, within reason.
func (l Limits) programMemory() int64 { return min(max(l.Memory/8, 64<<20), 256<<20) }

func bounds(h hierarchy, memory, pids int64) []setting {
	var all []setting
	bytes, count := strconv.FormatInt(memory, 10), strconv.FormatInt(pids, 10)
	if h.has("memory") {
		all = append(all, setting{"memory.use_hierarchy", "1", true}, setting{"memory.limit_in_bytes", bytes, false},
			setting{"memory.memsw.limit_in_bytes", bytes, true})
	}
	if h.offers("memory") {
		all = append(all, setting{"memory.max", bytes, false}, setting{"memory.swap.max", "0", true})
	}
	if h.has("pids") || h.offers("pids") {
		all = append(all, setting{"pids.max", count, false})
	}
	return all
}

// deviceSettings forbid everything inside to read or write a device of the machine, its disks above all. What is
// left is what runc gives to a container.
func deviceSettings() []setting {
	all := []setting{{"devices.deny", "a", false}}
	for _, d := range []string{
		"c *:* m", "b *:* m", // a node may be made: layers hold some
		"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", // null, zero, full, random, urandom
		"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", // terminals
		"c 10:200 rwm", // tun, which older runc names
	} {
		all = append(all, setting{"devices.allow", d, false})
	}
	return all
}

// down removes the groups; what is not there is fine.
func (g cgroup) down() error {
	var errs []error
	for _, h := range g.trees {
		errs = append(errs, removeGroup(h.top(g.name), 200))
	}
	return errors.Join(errs...)
}

// removeGroup removes a group and those below it, and tries so often: the kernel needs a moment after the last process
// has ended.
func removeGroup(path string, tries int) error {
	var err error
	for range tries {
		if err = removeGroups(path); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroup: %w", err)
}

func removeGroups(path string) error {
	below, err := os.ReadDir(path)
	if err != nil {
		return err //nolint:wrapcheck // the path is in it
	}
	for _, d := range below {
		if !d.IsDir() {
			continue
		}
		if err := removeGroups(filepath.Join(path, d.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.Remove(path)
}
