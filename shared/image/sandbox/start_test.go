package sandbox_test

import (
	"bytes"
	"testing"

	"github.com/gigurra/flycd/shared/image/sandbox"
)

func TestProgramRuns(t *testing.T) {
	var log bytes.Buffer
	box, err := sandbox.Start(t.Context(), sandbox.Spec{Dir: t.TempDir(), Path: "/bin/sh", Args: []string{"-c", "echo pid $$; env; ps ax"}, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	<-box.Done()
	t.Log(box.Err(), log.String(), box.Close())
}
