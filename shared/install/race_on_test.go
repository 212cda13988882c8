//go:build race

package install_test

// sampled makes the race detector see some cells of the tables of killed runs only: it is ten times slower, and the
// cells are about what is there afterwards, not about this process's memory.
const sampled = true
