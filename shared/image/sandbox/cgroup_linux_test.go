package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSettingsOfBothVersions(t *testing.T) {
	two := hierarchy{Mount: t.TempDir()}
	if err := os.WriteFile(filepath.Join(two.Mount, "cgroup.controllers"), []byte("cpu memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	limits := Limits{Memory: 1 << 30, Pids: 100}
	for name, c := range map[string]struct {
		got  []setting
		want []setting
	}{
		"version 2, all": {
			cgroup{limits: limits}.outer(two),
			[]setting{{"memory.max", "1073741824", false}, {"memory.swap.max", "0", true}, {"pids.max", "1124", false}, {"cpu.weight", "50", true}},
		},
		"version 2, foreign code": {
			limits.inner(two),
			[]setting{{"memory.max", "939524096", false}, {"memory.swap.max", "0", true}, {"pids.max", "100", false}},
		},
		"version 1, memory of foreign code": {
			limits.inner(hierarchy{"/x", "memory"}),
			[]setting{{"memory.use_hierarchy", "1", true}, {"memory.limit_in_bytes", "939524096", false}, {"memory.memsw.limit_in_bytes", "939524096", true}},
		},
		"version 1, processes": {cgroup{limits: limits}.outer(hierarchy{"/x", "pids"}), []setting{{"pids.max", "1124", false}}},
		"version 1, processors": {
			cgroup{limits: limits}.outer(hierarchy{"/x", "cpu,cpuacct"}), []setting{{"cpu.shares", "512", true}},
		},
		"version 1, another": {limits.inner(hierarchy{"/x", "name=systemd"}), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestProgramKeepsItsShareOfMemory(t *testing.T) {
	for memory, want := range map[int64]int64{128 << 20: 64 << 20, 1 << 30: 128 << 20, 8 << 30: 256 << 20} {
		if got := (Limits{Memory: memory}).programMemory(); got != want {
			t.Errorf("the program keeps %d of %d, want %d", got, memory, want)
		}
	}
}

func TestOwnerOfAName(t *testing.T) {
	name := newName(4194304)
	if len(name) > 15 {
		t.Errorf("%s is too long for a link", name)
	}
	for name, want := range map[string]int{name: 4194304, "fcd12xabcd": 12, "fcd12": 0, "fcd12xabc": 0, "eth0": 0, "fcdxabcd": 0, "fcd-1xabcd": 0, "docker0": 0} {
		if got, ok := owner(name); ok != (want != 0) || ok && got != want {
			t.Errorf("owner of %s is %d (%v), want %d", name, got, ok, want)
		}
	}
	if !lives(os.Getpid()) || lives(1<<22+1) {
		t.Error("who lives is not told")
	}
}
