package launch_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

func (h *household) faults(list string) { h.must("PUT", "/_sim/faults", list) }

func (h *household) appNamed(name string) (found int, id uint64) {
	for _, a := range h.sim.State().Apps {
		if a.Name == name {
			found, id = found+1, a.NumericID
		}
	}
	return found, id
}

func TestAppIsMadeOnceWhateverGoesWrong(t *testing.T) {
	for _, do := range []string{
		`{"status":408}`, `{"status":429,"body":{"error":"rate limited"}}`, `{"status":500}`, `{"status":503}`, `{"status":503,"after":true}`,
		`{"status":408,"after":true}`, `{"drop":"before"}`, `{"drop":"after"}`,
	} {
		for _, match := range []string{`"method":"GET","path":"/v1/apps/new","nth":1`, `"method":"POST","path":"/v1/apps","nth":1`, `"method":"GET","path":"/v1/apps/new","nth":2`} {
			t.Run(match+do, func(t *testing.T) {
				t.Parallel()
				h := newHousehold(t)
				h.faults(`[{"match":{` + match + `},"do":` + do + `}]`)
				id, err := h.launcher.EnsureApp(within(t, 10*time.Second), "new", "acme", "")
				if found, want := h.appNamed("new"); err != nil || found != 1 || id != want {
					t.Errorf("%d, %v; %d apps with id %d", id, err, found, want)
				}
				h.faults(`[]`)
				again, err := h.launcher.EnsureApp(within(t, 10*time.Second), "new", "acme", "")
				if err != nil || again != id {
					t.Errorf("again: %d, %v, want %d", again, err, id)
				}
			})
		}
	}
}

func TestManyMakeOneApp(t *testing.T) {
	h := newHousehold(t)
	ctx := within(t, 10*time.Second)
	ids := make([]uint64, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], err = h.launcher.EnsureApp(ctx, "fresh", "acme", "own"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, want := h.appNamed("fresh")
	for _, id := range ids {
		if id != want {
			t.Errorf("got %v, want %d", ids, want)
			break
		}
	}
	var made struct{ Network string }
	if err := json.Unmarshal([]byte(h.must("GET", "/v1/apps/fresh", "")), &made); err != nil || made.Network != "own" {
		t.Errorf("network %q, %v", made.Network, err)
	}
}

func TestForeignNamesAreRejected(t *testing.T) {
	h := newHousehold(t)
	h.sim.Foreign("theirs")
	ctx := within(t, 10*time.Second)
	for _, c := range []struct{ app, org, want string }{
		{"theirs", "acme", "somebody else"},
		{"far", "acme", "somebody else"},
		{"Bad_Name", "acme", "lower-case"},
		{"../web", "acme", "lower-case"},
		{"fresh", "elsewhere", "elsewhere"},
	} {
		_, err := h.launcher.EnsureApp(ctx, c.app, c.org, "")
		if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in %s: %v, want a rejection with %q", c.app, c.org, err, c.want)
		}
	}
	// The name is somebody else's although the look does not say so.
	h.faults(`[{"match":{"method":"GET","path":"/v1/apps/theirs"},"do":{"status":404,"body":{"error":"app not found"},"repeat":1000}}]`)
	if _, err := h.launcher.EnsureApp(within(t, 2*time.Second), "theirs", "acme", ""); !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "taken") {
		t.Errorf("a name that is taken: %v", err)
	}
}

func TestTokenThatIsOverIsNoRejection(t *testing.T) {
	h := newHousehold(t)
	narrow, err := launch.Narrow(h.launcher.Mint, launch.Scope{Apps: map[uint64]launch.Access{0: launch.All}, Until: time.Now().Add(-time.Hour)})
	need(t, err)
	h.launcher.Mint = narrow
	start := time.Now()
	_, err = h.launcher.EnsureApp(within(t, 10*time.Second), "web", "acme", "")
	if err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "FLYCD_MINT_TOKEN is not valid") || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
}

// TestNothingIsMadeForJobsThatNoTreeNames: also no app, and nothing at all for FlyCD's own apps.
func TestNothingIsMadeForJobsThatNoTreeNames(t *testing.T) {
	h := newHousehold(t)
	deploy := func(app string) job.Job { return job.Job{ID: theID, Kind: job.Deploy, App: app} }
	_, web := deployOf("web")
	_, runners := deployOf("runners")
	_, dispatcher := deployOf("dispatcher")
	sharing := *web
	sharing.Shares = []string{"dispatcher"}
	h.sim.Foreign("theirs")
	stranger := *web
	stranger.Shares = []string{"theirs"}
	for name, grant := range map[string]func() (string, error){
		"no entry":             func() (string, error) { return h.launcher.GrantFor(t.Context(), deploy("new"), nil, time.Now()) },
		"entry of another app": func() (string, error) { return h.launcher.GrantFor(t.Context(), deploy("new"), web, time.Now()) },
		"runner app": func() (string, error) {
			return h.launcher.GrantFor(t.Context(), deploy("runners"), runners, time.Now())
		},
		"dispatcher": func() (string, error) {
			return h.launcher.GrantFor(t.Context(), deploy("dispatcher"), dispatcher, time.Now())
		},
		"destroy the dispatcher": func() (string, error) {
			return h.launcher.GrantFor(t.Context(), job.Job{ID: theID, Kind: job.Destroy, App: "dispatcher"}, nil, time.Now())
		},
		"images in the dispatcher":      func() (string, error) { return h.launcher.GrantFor(t.Context(), deploy("web"), &sharing, time.Now()) },
		"images in somebody else's app": func() (string, error) { return h.launcher.GrantFor(t.Context(), deploy("web"), &stranger, time.Now()) },
	} {
		if token, err := grant(); token != "" || !errors.Is(err, job.ErrRejected) {
			t.Errorf("%s: %q, %v, want a rejection", name, token, err)
		}
	}
	if found, _ := h.appNamed("new"); found != 0 {
		t.Error("an app was made")
	}
	token, err := h.launcher.GrantFor(t.Context(), job.Job{ID: theID, Kind: job.Sync, Config: job.Config{Repo: "https://example.com/c"}}, nil, time.Now().Add(time.Hour))
	if token != "" || err != nil {
		t.Errorf("a sync got %q, %v, want nothing", token, err)
	}
}

// TestNewAppsTokenIsForIt creates the app of a deploy and uses its token.
// TestAppsThatNameNoOrganisationAreOfFlyCDsOwn: a manifest need not say org.
func TestAppsThatNameNoOrganisationAreOfFlyCDsOwn(t *testing.T) {
	h := newHousehold(t)
	j, entry := deployOf("fresh")
	entry.Org = ""
	if _, err := h.launcher.GrantFor(within(t, 10*time.Second), j, entry, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, org, found, err := h.launcher.AppID(t.Context(), "fresh"); err != nil || !found || org != "acme" {
		t.Errorf("it is in %q, %v, %v", org, found, err)
	}
}

// TestAppOfAnotherOrganisationThanItsManifestsIsRefused: policies judge what the manifest says.
func TestAppOfAnotherOrganisationThanItsManifestsIsRefused(t *testing.T) {
	h := newHousehold(t)
	more, err := h.sim.Mint("elsewhere")
	need(t, err)
	h.launcher.Mint += "," + more
	j, entry := deployOf("far")
	for _, org := range []string{"acme", ""} {
		entry.Org = org
		token, err := h.launcher.GrantFor(within(t, 10*time.Second), j, entry, time.Now().Add(time.Hour))
		if token != "" || !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "org: elsewhere") {
			t.Errorf("org %q: %q, %v", org, token, err)
		}
	}
	entry.Org = "elsewhere"
	if token, err := h.launcher.GrantFor(within(t, 10*time.Second), j, entry, time.Now().Add(time.Hour)); token == "" || err != nil {
		t.Errorf("where it is: %v", err)
	}
}

func TestNewAppsTokenIsForIt(t *testing.T) {
	h := newHousehold(t)
	j, e := deployOf("new")
	token := h.grant(j, e)
	if status, text := h.ask(token, "POST", "/v1/apps/new/machines", `{"config":{"image":"x:1"}}`); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := h.ask(token, "GET", "/v1/apps/web", ""); status != http.StatusForbidden {
		t.Errorf("another app: %d", status)
	}
}

// TestAddonsThatWereMadeAreSeenWhenTheyAreNoLongerNamed: a deploy that prunes looks at what its machines record.
func TestAddonsThatWereMadeAreSeenWhenTheyAreNoLongerNamed(t *testing.T) {
	h := newHousehold(t)
	j, e := deployOf("web")
	e.Prune = true
	const password = `{ addOn(name: "queue", provider: "upstash_redis") { publicUrl } }`
	if got := h.graph(h.grant(j, e), password); got != http.StatusForbidden {
		t.Errorf("without a record: %d", got)
	}
	h.must("POST", "/v1/apps/web/machines/"+h.machines["web"]+"/metadata/flycd_addons", `{"value":"redis/queue"}`)
	if got := h.graph(h.grant(j, e), password); got != http.StatusOK {
		t.Errorf("with a record: %d", got)
	}
	if got := h.graph(h.grant(job.Job{ID: theID, Kind: job.Destroy, App: "web"}, nil), password); got != http.StatusOK {
		t.Errorf("to destroy it: %d", got)
	}
}

// TestMutationsThatDeploysSendAreAllowed reads what the room of Fly's API sends, so that a new mutation is not
// forgotten here.
func TestMutationsThatDeploysSendAreAllowed(t *testing.T) {
	source, err := os.ReadFile("grantfor.go")
	need(t, err)
	files, err := filepath.Glob("../fly/*.go")
	need(t, err)
	sends := regexp.MustCompile("`mutation[^{`]*\\{\\s*(\\w+)")
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(filepath.Base(file), "account") {
			continue // an account is an installation's, which has a token of its own
		}
		text, err := os.ReadFile(file)
		need(t, err)
		for _, m := range sends.FindAllStringSubmatch(string(text), -1) {
			seen++
			if !strings.Contains(string(source), `"`+m[1]+`"`) {
				t.Errorf("%s sends %s, which no grant allows", file, m[1])
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d mutations found, want four at least", seen)
	}
}
