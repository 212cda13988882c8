package flysim_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// start runs a simulator and gives its base URL.
func start(t *testing.T, opts flysim.Options) (*flysim.Server, string) {
	t.Helper()
	s := flysim.New(opts)
	url, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, url
}

// client is fly-go's own, validated on the wire, talking to url.
func client(t *testing.T, url, token string) *flaps.Client {
	t.Helper()
	t.Setenv("FLY_FLAPS_BASE_URL", url)
	c, err := flaps.NewWithOptions(t.Context(), flaps.NewClientOpts{
		UserAgent: "flysim-test", Tokens: tokens.Parse(token), Transport: validating(t, http.DefaultTransport),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantStatus(t *testing.T, err error, status int, text string) {
	t.Helper()
	var fe *flaps.FlapsError
	if !errors.As(err, &fe) {
		t.Fatalf("got %v, want a refusal with status %d", err, status)
	}
	if fe.ResponseStatusCode != status || !strings.Contains(string(fe.ResponseBody), text) {
		t.Fatalf("got status %d %s, want %d with %q", fe.ResponseStatusCode, fe.ResponseBody, status, text)
	}
}

func config(image string) *flygo.MachineConfig {
	return &flygo.MachineConfig{Image: image, Metadata: map[string]string{"fly_process_group": "app", "fly_platform_version": "v2"}}
}

// newApp makes an app and gives a client for it.
func newApp(t *testing.T, url, name string) *flaps.Client {
	t.Helper()
	c := client(t, url, "secret")
	_, err := c.CreateApp(t.Context(), flaps.CreateAppRequest{Name: name, Org: "personal"})
	need(t, err)
	return c
}

func launch(t *testing.T, c *flaps.Client, app string, in flygo.LaunchMachineInput) *flygo.Machine {
	t.Helper()
	if in.Region == "" {
		in.Region = "ams"
	}
	m, err := c.Launch(t.Context(), app, in)
	need(t, err)
	return m
}

func waitFor(t *testing.T, c *flaps.Client, app, id string, states ...string) {
	t.Helper()
	need(t, c.Wait(t.Context(), app, id, flaps.WithWaitStates(states...), flaps.WithWaitTimeout(10*time.Second)))
}

func get(t *testing.T, c *flaps.Client, app, id string) *flygo.Machine {
	t.Helper()
	m, err := c.Get(t.Context(), app, id)
	need(t, err)
	return m
}

func quick(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func ptr[T any](v T) *T { return &v }
