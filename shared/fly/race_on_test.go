//go:build race

package fly

// sampled makes the race detector see every 25th cell of the table of faults only: it is ten times
// slower, and the cells are about what is sent, not about this process's memory.
const sampled = true
