package main

import (
	"cmp"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// quickEnd is told to the race detector by GORACE: a process that it watches sleeps a second before it ends, otherwise.
const quickEnd = "atexit_sleep_ms=20"

// TestMain makes the test binary stand for flycd: scripts run it under that name, and tests that
// start runner processes start this very binary, race detector and all.
func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", cmp.Or(os.Getenv("GORACE"), quickEnd)); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"flycd": main})
}
