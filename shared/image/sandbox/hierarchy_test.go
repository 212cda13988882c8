package sandbox

import (
	"slices"
	"testing"
)

func TestHierarchiesOfMachines(t *testing.T) {
	for name, c := range map[string]struct {
		mounts string
		want   []hierarchy
	}{
		"hybrid, as on Fly": {
			"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
				"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
				"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
				"40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
			[]hierarchy{
				{"/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"},
				{"/sys/fs/cgroup/memory", "memory"},
				{"/sys/fs/cgroup/systemd", "name=systemd"},
				{"/sys/fs/cgroup/unified", ""},
			},
		},
		"version 2": {
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			[]hierarchy{{"/sys/fs/cgroup", ""}},
		},
		"twice, and from below": {
			"30 23 0:26 /lxc /elsewhere rw - cgroup cgroup rw,memory\n31 23 0:26 / /a\\040b rw - cgroup cgroup rw,memory\n32 23 0:26 / /c rw - cgroup cgroup rw,memory\n",
			[]hierarchy{{"/a b", "memory"}},
		},
		"none": {"30 23 0:26 / / rw - ext4 /dev/vda rw\nnonsense\n", nil},
	} {
		if got := parseHierarchies(c.mounts); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestHierarchyIsMountedAgainByItsOptions(t *testing.T) {
	trees := []hierarchy{{"/x/cpu", "cpu,cpuacct"}, {"/x/systemd", "name=systemd"}, {"/x/unified", ""}}
	for i, want := range []struct{ data, at string }{
		{"cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"}, {"none,name=systemd", "/sys/fs/cgroup/systemd"}, {"", "/sys/fs/cgroup/unified"},
	} {
		if data, at := trees[i].mountData(), trees[i].inside(trees).Mount; data != want.data || at != want.at {
			t.Errorf("%v is mounted with %q at %q, want %v", trees[i], data, at, want)
		}
	}
	if got := trees[2].inside(trees[2:]).Mount; got != "/sys/fs/cgroup" {
		t.Errorf("version 2 alone is at %s", got)
	}
}
