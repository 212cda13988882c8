package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/identity"
)

// TestMain is also the program of a simulated machine: it tells a server who it is.
func TestMain(m *testing.M) {
	to := os.Getenv("TELL")
	if to == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	token, err := identity.MachineToken(ctx, os.Getenv("FLYCD_FLY_SOCKET"), audience)
	if err != nil {
		token = err.Error()
	}
	resp, err := http.Post(to, "text/plain", strings.NewReader(token))
	if err != nil {
		os.Exit(1)
	}
	_ = resp.Body.Close()
}

func TestMachineProvesWhichOneItIs(t *testing.T) {
	me, err := os.Executable()
	need(t, err)
	sim := flysim.New(flysim.Options{Exec: map[string][]string{"runner": {me}}, Auth: true, Tokens: []string{"boss"}})
	server := httptest.NewServer(sim)
	told := make(chan string, 1)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		told <- string(b)
	}))
	t.Cleanup(func() {
		need(t, sim.Close())
		server.Close()
		listener.Close()
	})
	send := func(path, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		need(t, err)
		req.Header.Set("Authorization", "Bearer boss")
		resp, err := http.DefaultClient.Do(req)
		need(t, err)
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		need(t, err)
		if resp.StatusCode > 299 {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, b)
		}
		return string(b)
	}
	send("/v1/apps", `{"name":"runners","app_name":"runners","org_slug":"acme"}`)
	var m struct{ ID string }
	need(t, json.Unmarshal([]byte(send("/v1/apps/runners/machines", `{"name":"r-1","config":{"image":"runner:1","env":{"TELL":"`+listener.URL+`"},"restart":{"policy":"no"}}}`)), &m))
	raw := <-told
	v := &identity.Verifier{Issuer: sim.OIDCIssuer("acme"), Audience: audience}
	c, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if c.Org != "acme" || c.App != "runners" || c.Machine != m.ID || c.MachineName != "r-1" || c.Subject != "acme:runners:r-1" || c.Image != "runner:1" || c.Repository != "" {
		t.Errorf("claims %+v", c)
	}
	if identity.Issuer(raw) != v.Issuer {
		t.Errorf("issuer %s, want %s", identity.Issuer(raw), v.Issuer)
	}
	// The same key signs for another organisation: its machines are not ours.
	other := &identity.Verifier{Issuer: sim.OIDCIssuer("elsewhere"), Audience: audience}
	if _, err := other.Verify(t.Context(), raw); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("another organisation's: %v", err)
	}
}

func TestWhereThereIsNoSocketThereIsNoMachine(t *testing.T) {
	if _, err := identity.MachineToken(t.Context(), filepath.Join(t.TempDir(), "api"), audience); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
