//go:build !race

package fly

const sampled = false
