package sandbox_test

import (
	"os"
	"testing"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}
