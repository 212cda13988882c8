package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultSize is the size of a runner's machine where none is set.
const DefaultSize = "shared-cpu-1x:512MB"

// Guest is the size of a machine.
type Guest struct {
	CPUKind  string `json:"cpu_kind,omitempty"`
	CPUs     int    `json:"cpus,omitempty"`
	MemoryMB int    `json:"memory_mb,omitempty"`
}

// ParseSize reads a size as FLYCD_RUNNER_SIZE has it: the name of one of Fly's CPU sizes, and
// after a colon the memory where it is not the size's own: shared-cpu-1x:512MB, performance-2x,
// shared-cpu-2x:1GB, shared-cpu-1x:512 (MB). An empty text is DefaultSize. The error says what
// would be valid.
func ParseSize(size string) (Guest, error) {
	if size == "" {
		size = DefaultSize
	}
	name, memory, hasMemory := strings.Cut(size, ":")
	var g Guest
	var least, most int
	switch count, isShared := strings.CutPrefix(name, "shared-cpu-"); {
	case isShared && oneOf(count, "1x", "2x", "4x", "6x", "8x"):
		g.CPUKind, g.CPUs, least, most = "shared", leading(count), 256, 2048
	case strings.HasPrefix(name, "performance-") && oneOf(name[len("performance-"):], "1x", "2x", "4x", "6x", "8x", "10x", "12x", "14x", "16x"):
		g.CPUKind, g.CPUs, least, most = "performance", leading(name[len("performance-"):]), 2048, 8192
	default:
		return Guest{}, fmt.Errorf("size %q: expected shared-cpu-1x, -2x, -4x, -6x, -8x or performance-1x … -16x, and memory after a colon, as in %s", size, DefaultSize)
	}
	g.MemoryMB = g.CPUs * least
	if !hasMemory {
		return g, nil
	}
	mb, ok := megabytes(memory)
	if !ok || mb%256 != 0 || mb < g.CPUs*least || mb > g.CPUs*most {
		return Guest{}, fmt.Errorf("size %q: the memory of %s is a multiple of 256 MB from %dMB to %dMB", size, name, g.CPUs*least, g.CPUs*most)
	}
	g.MemoryMB = mb
	return g, nil
}

func megabytes(s string) (int, bool) {
	s = strings.TrimSpace(strings.ToLower(s))
	factor := 1
	if rest, ok := strings.CutSuffix(s, "gb"); ok {
		s, factor = rest, 1024
	} else {
		s = strings.TrimSuffix(s, "mb")
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n * factor, err == nil && n > 0 && n < 1<<20
}

func oneOf(s string, list ...string) bool {
	for _, x := range list {
		if s == x {
			return true
		}
	}
	return false
}

// leading is the number that a text such as 16x begins with.
func leading(s string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(s, "x"))
	return n
}
