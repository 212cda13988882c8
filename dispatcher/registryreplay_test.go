package dispatcher_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// TestReplayedRegistryHookGivesTheSameAnswer replays each sort, at once and when its job has ended.
func TestReplayedRegistryHookGivesTheSameAnswer(t *testing.T) {
	const all = `{"image":"docker.io/acme/web","tag":"1.2.3","digest":"sha256:`
	for name, send := range map[string]func(*house) reply{
		"GitHub":     func(h *house) reply { return h.send(h.signed("package", "guid", published(t, "1.2.3", 1))) },
		"Docker Hub": func(h *house) reply { return h.send(h.told(regToken, recorded(t, "dockerhub.json"))) },
		"a registry": func(h *house) reply { return h.send(h.told(regToken, recorded(t, "distribution.json"))) },
		"an id":      func(h *house) reply { return h.tell(all + strings.Repeat("0", 64) + `","id":"build-17"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.entries(naming("a", "ghcr.io/acme/web", catalog.ImagePolicy{Semver: "*"}), naming("b", "acme/web", catalog.ImagePolicy{Semver: "*"}),
				naming("c", "registry.example.com:5000/acme/web", catalog.ImagePolicy{Semver: "*"}))
			first := send(h)
			again := send(h)
			for _, r := range h.active() {
				h.finish(r)
			}
			late := send(h)
			for _, r := range []reply{again, late} {
				if first.status != http.StatusAccepted || r.status != first.status || r.text != first.text {
					t.Errorf("got %d %s, want %d %s", r.status, r.text, first.status, first.text)
				}
			}
			if n := len(h.machines()); n != 1 {
				t.Errorf("%d machines, want one", n)
			}
		})
	}
}

// TestOnePushToARegistryThroughTwoHooksIsOneJob holds it where a digest, or the registry's own time, tells.
func TestOnePushToARegistryThroughTwoHooksIsOneJob(t *testing.T) {
	older := func(n int) []byte {
		return bytes.Replace(published(t, "1.2.3", n), []byte(`"package": {`), []byte(`"registry_package": {`), 1)
	}
	hub := recorded(t, "dockerhub.json")
	for name, send := range map[string][2]func(*house) reply{
		"two events of one hook": {
			func(h *house) reply { return h.send(h.signed("package", "guid-1", published(t, "1.2.3", 1))) },
			func(h *house) reply { return h.send(h.signed("registry_package", "guid-2", older(1))) },
		},
		"GitHub and a script": {
			func(h *house) reply { return h.send(h.signed("package", "guid-1", published(t, "1.2.3", 1))) },
			func(h *house) reply {
				return h.tell(fmt.Sprintf(`{"image":"ghcr.io/acme/web","tag":"1.2.3","digest":"sha256:%064x"}`, 1))
			},
		},
		"two hooks of Docker Hub": {
			func(h *house) reply { return h.send(h.told(regToken, hub)) },
			func(h *house) reply {
				return h.send(h.told(regToken, bytes.Replace(hub, []byte("2141b5bi5i5b02bec211i4eeih0242eg11000a"), []byte("other"), 1)))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.entries(naming("web", "ghcr.io/acme/web", catalog.ImagePolicy{Semver: "*"}), naming("hub", "acme/web", catalog.ImagePolicy{Semver: "*"}))
			h.oneJob(send[0](h), send[1](h))
		})
	}
}

// TestTagThatMovesDeploysAgain goes to another digest, and back to the first one.
func TestTagThatMovesDeploysAgain(t *testing.T) {
	h := open(t)
	h.entries(naming("web", "ghcr.io/acme/web:prod", catalog.ImagePolicy{Digest: true}))
	ids := map[job.ID]bool{}
	for i, n := range []int{1, 2, 1} {
		got := h.send(h.signed("package", fmt.Sprint("guid-", i), published(t, "prod", n)))
		if got.status != http.StatusAccepted || len(got.Jobs) != 1 || ids[got.Jobs[0].ID] {
			t.Fatalf("push %d: got %d %s", i, got.status, got.text)
		}
		ids[got.Jobs[0].ID] = true
		for _, r := range h.active() {
			h.finish(r)
		}
		// told again, it does not move
		again := h.send(h.signed("package", fmt.Sprint("again-", i), published(t, "prod", n)))
		if len(again.Jobs) != 1 || again.Jobs[0].ID != got.Jobs[0].ID || len(h.active()) != 0 {
			t.Errorf("push %d told again: got %d %s", i, again.status, again.text)
		}
	}
}

// TestScriptThatSaysTheSameEachTimeDeploysEachTime holds that a body without digest and id is no replay.
func TestScriptThatSaysTheSameEachTimeDeploysEachTime(t *testing.T) {
	h := open(t)
	h.entries(naming("web", "ghcr.io/acme/web:prod", catalog.ImagePolicy{Digest: true}))
	ids := map[job.ID]bool{}
	for range 3 {
		got := h.tell(`{"image":"ghcr.io/acme/web","tag":"prod"}`)
		if len(got.Jobs) != 1 || ids[got.Jobs[0].ID] {
			t.Fatalf("got %d %s", got.status, got.text)
		}
		ids[got.Jobs[0].ID] = true
	}
	if n := len(h.machines()); n != 1 {
		t.Errorf("%d machines, want one at a time", n)
	}
}
