//go:build !race

package queue_test

const sampled = false
