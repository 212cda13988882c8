package sandbox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// prefix begins the name of everything that a sandbox has of the machine: its link, its nftables table, its cgroups.
const prefix = "fcd"

// newName gives a name that tells which process the sandbox belongs to, within the 15 characters of a link's name.
func newName(pid int) string { return fmt.Sprintf("%s%dx%04x", prefix, pid, rand.Uint32N(1<<16)) } //nolint:gosec // it need only be rare

// owner tells which process a thing of this name belongs to.
func owner(name string) (pid int, ok bool) {
	rest, ours := strings.CutPrefix(name, prefix)
	digits, salt, cut := strings.Cut(rest, "x")
	if !ours || !cut || len(salt) != 4 {
		return 0, false
	}
	pid, err := strconv.Atoi(digits)
	return pid, err == nil && pid > 0
}

// abandoned tells whether a thing of this name belongs to a sandbox whose process is gone.
func abandoned(name string) bool {
	pid, ok := owner(name)
	return ok && !lives(pid)
}

// lives tells whether a process exists and is more than a zombie.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// the state follows the name, which may hold anything
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}
