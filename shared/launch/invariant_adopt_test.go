package launch_test

import (
	"net/http"
	"testing"
	"time"
)

// The list may lag for longer than a launch lasts: what the conflict names is adopted without it.
func TestConflictIsAdoptedWithoutTheList(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	first, err := l.Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	f.faults(http.MethodGet, 1, `{"status":200,"body":[],"repeat":-1}`)
	again, err := l.Launch(within(t, 3*time.Second), runner())
	if err != nil || again.ID != first.ID {
		t.Errorf("got %+v, %v, want %s", again, err, first.ID)
	}
}
