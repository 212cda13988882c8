package sandbox_test

import (
	"os"
	"testing"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

// TestMain is three programs: a sandbox's init, what runs inside (see probe_test.go), and the tests.
func TestMain(m *testing.M) {
	sandbox.Main()
	if len(os.Args) > 2 && os.Args[1] == "probe" {
		os.Exit(probe(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}
