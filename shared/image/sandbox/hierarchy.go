package sandbox

import (
	"path/filepath"
	"slices"
	"strings"
)

// hierarchy is one tree of cgroups: that of version 2, or one of version 1 with its controllers.
type hierarchy struct {
	// Mount is where the machine has it.
	Mount string
	// Options are its controllers ("memory", "cpu,cpuacct") or its name ("name=systemd"); empty for version 2.
	Options string
}

// parseHierarchies reads them from /proc/self/mountinfo, each once.
func parseHierarchies(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		// a tree that is seen from somewhere below its root is not ours to use
		if !ok || len(where) < 5 || len(what) < 3 || where[3] != "/" {
			continue
		}
		h := hierarchy{Mount: unescape(where[4])}
		switch what[0] {
		case "cgroup":
			h.Options = controllers(what[2])
		case "cgroup2":
		default:
			continue
		}
		if !slices.ContainsFunc(found, func(o hierarchy) bool { return o.Options == h.Options }) {
			found = append(found, h)
		}
	}
	return found
}

// controllers picks the controllers out of the options of a version 1 mount.
func controllers(options string) string {
	flags := []string{"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "all", "none"}
	return strings.Join(slices.DeleteFunc(strings.Split(options, ","), func(o string) bool {
		return slices.Contains(flags, o) || strings.HasPrefix(o, "release_agent=")
	}), ",")
}

// has tells whether a version 1 hierarchy has a controller.
func (h hierarchy) has(controller string) bool {
	return slices.Contains(strings.Split(h.Options, ","), controller)
}

// mountData is what mounts it again.
func (h hierarchy) mountData() string {
	if strings.HasPrefix(h.Options, "name=") {
		return "none," + h.Options
	}
	return h.Options
}

// unescape reads the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// cgroupRoot is where a sandbox sees its cgroups.
const cgroupRoot = "/sys/fs/cgroup"

// inside gives the same hierarchy as the sandbox sees it, where trees are all that it sees.
func (h hierarchy) inside(trees []hierarchy) hierarchy {
	name := strings.TrimPrefix(h.Options, "name=")
	if h.Options == "" && slices.ContainsFunc(trees, func(o hierarchy) bool { return o.Options != "" }) {
		name = "unified"
	}
	return hierarchy{Mount: filepath.Join(cgroupRoot, name), Options: h.Options}
}
