//go:build race

package queue_test

// sampled makes the race detector see every tenth order only: it is ten times slower, and the orders are
// about Redis's moves, not about this process's memory.
const sampled = true
