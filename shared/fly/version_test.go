package fly

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestFormerVersionIsKnown(t *testing.T) {
	w := deployed(t, flysim.Options{})
	c := w.client(t)
	ch := begin(t, c)
	before := ch.Observed().Machines[0]
	apply(t, ch, update(before, imageTwo))
	now, _ := ch.known(before.ID)
	w.road.breaks(&fault{method: http.MethodGet, path: `/versions$`, nth: 1, status: 500})
	old, err := c.Before(t.Context(), now, testApp, before.InstanceID)
	if err != nil {
		t.Fatal(err)
	}
	if old.Config.Image != imageOne || "registry.fly.io/shop@"+old.ImageRef.Digest != imageOne || old.State != now.State {
		t.Errorf("it was %s (%s, %s), want %s", old.Config.Image, old.ImageRef.Digest, old.State, imageOne)
	}
	if now.Config.Image != imageTwo {
		t.Errorf("looking back changed what is: %s", now.Config.Image)
	}
	if _, err := c.Before(t.Context(), now, testApp, "01NEVER"); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("a version that never was: %v", err)
	}
}
