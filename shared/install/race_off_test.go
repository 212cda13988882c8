//go:build !race

package install_test

const sampled = false
