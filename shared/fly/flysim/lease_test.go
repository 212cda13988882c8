package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestLeaseShutsOthersOut(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "leases")
	m := launch(t, c, "leases", flygo.LaunchMachineInput{Config: config("nginx")})
	waitFor(t, c, "leases", m.ID, "started")
	s.Freeze()
	l, err := c.AcquireLease(t.Context(), "leases", m.ID, ptr(13))
	need(t, err)
	if l.Status != "success" || l.Data.Nonce == "" || l.Data.ExpiresAt < s.Now().Add(13*time.Second).Unix() {
		t.Errorf("lease: %+v", l.Data)
	}

	update := flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx:2")}
	for name, write := range map[string]func(nonce string) error{
		"stop":     func(n string) error { return c.Stop(t.Context(), "leases", flygo.StopMachineInput{ID: m.ID}, n) },
		"update":   func(n string) error { _, err := c.Update(t.Context(), "leases", update, n); return err },
		"cordon":   func(n string) error { return c.Cordon(t.Context(), "leases", m.ID, n) },
		"uncordon": func(n string) error { return c.Uncordon(t.Context(), "leases", m.ID, n) },
		"suspend":  func(n string) error { return c.Suspend(t.Context(), "leases", m.ID, n) },
		"start":    func(n string) error { _, err := c.Start(t.Context(), "leases", m.ID, n); return err },
		"restart":  func(n string) error { return c.Restart(t.Context(), "leases", flygo.RestartMachineInput{ID: m.ID}, n) },
		"destroy": func(n string) error {
			return c.Destroy(t.Context(), "leases", flygo.RemoveMachineInput{ID: m.ID, Kill: true}, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, nonce := range []string{"", "wrong"} {
				wantStatus(t, write(nonce), http.StatusConflict, "aborted: machine ID "+m.ID+" lease currently held by ")
			}
		})
	}
	wantStatus(t, c.ReleaseLease(t.Context(), "leases", m.ID, "wrong"), http.StatusConflict, "lease currently held")
	_, err = c.Exec(t.Context(), "leases", m.ID, &flygo.MachineExecRequest{Cmd: "true"})
	wantStatus(t, err, http.StatusConflict, "lease currently held")
	need(t, c.SetMetadata(t.Context(), "leases", m.ID, "k", "v")) // as flyctl does, without the nonce
	need(t, c.Cordon(t.Context(), "leases", m.ID, l.Data.Nonce))

	again, err := c.RefreshLease(t.Context(), "leases", m.ID, ptr(60), l.Data.Nonce)
	need(t, err)
	if again.Data.Nonce != l.Data.Nonce || again.Data.ExpiresAt <= l.Data.ExpiresAt {
		t.Errorf("a refresh keeps the nonce and moves the end: %+v after %+v", again.Data, l.Data)
	}
	found, err := c.FindLease(t.Context(), "leases", m.ID)
	need(t, err)
	if found.Data.Owner == "" || found.Data.ExpiresAt != again.Data.ExpiresAt {
		t.Errorf("found %+v", found.Data)
	}
	s.Advance(62 * time.Second)
	wantStatus(t, c.ReleaseLease(t.Context(), "leases", m.ID, l.Data.Nonce), http.StatusNotFound, "lease not found")
	_, err = c.RefreshLease(t.Context(), "leases", m.ID, nil, l.Data.Nonce)
	wantStatus(t, err, http.StatusNotFound, "lease not found")
	need(t, c.Uncordon(t.Context(), "leases", m.ID, ""))
}

func TestAcquireOfHeldLeaseIsRefused(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "held")
	m := launch(t, c, "held", flygo.LaunchMachineInput{Config: config("nginx"), LeaseTTL: 30})
	if m.LeaseNonce == "" {
		t.Fatal("lease_ttl on create gives a nonce")
	}
	// fly-go's AcquireLease tries for a minute, whatever the error: look with its deadline instead
	if _, err := c.AcquireLease(quick(t), "held", m.ID, ptr(5)); err == nil {
		t.Error("a held lease was acquired")
	}
	need(t, c.ReleaseLease(t.Context(), "held", m.ID, m.LeaseNonce))
	if got := get(t, c, "held", m.ID); got.LeaseNonce != "" {
		t.Error("a read gives the nonce away")
	}
	_, err := c.AcquireLease(t.Context(), "held", m.ID, nil)
	need(t, err)
}

func TestStaleVersionCannotUpdate(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "versions")
	m := launch(t, c, "versions", flygo.LaunchMachineInput{Config: config("nginx")})
	waitFor(t, c, "versions", m.ID, "started")
	update := func(version string) (int, string) {
		body := `{"config":{"image":"nginx:2"},"current_version":"` + version + `"}`
		return raw(t, http.MethodPost, url+"/v1/apps/versions/machines/"+m.ID, body)
	}
	if status, body := update("01STALE"); status != http.StatusPreconditionFailed || !strings.Contains(body, "version mismatch") {
		t.Errorf("stale: %d %s", status, body)
	}
	if status, body := update(m.InstanceID); status != http.StatusOK {
		t.Errorf("current: %d %s", status, body)
	}
	if status, _ := update(m.InstanceID); status != http.StatusPreconditionFailed {
		t.Errorf("the same update again: %d", status)
	}
}
