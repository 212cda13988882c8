//go:build race

package queue_test

// sampled makes the race detector see every thirtieth order and every fifth broken script only: it is ten times slower,
// and these are about Redis's moves, not about this process's memory.
const sampled = true
