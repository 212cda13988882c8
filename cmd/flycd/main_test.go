package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary stand for flycd: scripts run it under that name, and tests that
// start runner processes start this very binary, race detector and all.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flycd": main})
}
