package dispatcher_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	config   = "https://github.com/me/config"
	stranger = "https://github.com/other/code"
)

// follows says what the jobs of an answer are, sorted.
func (r reply) jobs() (list []string) {
	for _, j := range r.Jobs {
		list = append(list, strings.TrimSpace(string(j.Kind)+" "+j.App))
	}
	slices.Sort(list)
	return list
}

// called is a house whose catalog has web and worker of hello, api of another repository, and tool of the config tree.
func called(t *testing.T, a *actions, repos ...string) *house {
	t.Helper()
	h := open(t, roots(t, config), a.callers(repos...))
	entry := func(app, source string) catalog.Entry {
		return catalog.Entry{App: app, Org: "personal", Dir: app, Auto: true, Config: job.Config{Repo: config}, Source: catalog.Source{Repo: source}}
	}
	h.entries(entry("web", hello), entry("worker", hello), entry("api", stranger), entry("tool", ""))
	return h
}

// TestCallDeploysWhatAPushWould asks with a dispatch token, for everything that can be asked for.
func TestCallDeploysWhatAPushWould(t *testing.T) {
	h := called(t, newActions(t))
	for ask, want := range map[string]string{
		`{"app":"web"}`:                                                          "deploy web",
		`{"app":"api","force":true}`:                                             "deploy api",
		`{"app":"worker","trees":true}`:                                          "deploy worker",
		`{"app":"tool","confirm":true}`:                                          "deploy tool",
		`{"repo":"` + hello + `"}`:                                               "deploy web, deploy worker",
		`{"repo":"git@github.com:other/code"}`:                                   "deploy api",
		`{"repo":"` + config + `"}`:                                              "sync",
		`{"repo":"` + config + `","trees":true}`:                                 "sync",
		`{"repo":"` + hello + `","trees":true}`:                                  "sync", // nothing lives there yet: it is read as a tree
		`{"repo":"https://github.com/new/config"}`:                               "sync",
		`{"repo":"https://github.com/new/config","ref":"v1","path":"/deep/er/"}`: "sync",
	} {
		got := h.post("/dispatch", callToken, ask)
		if got.status != http.StatusAccepted || strings.Join(got.jobs(), ", ") != want {
			t.Errorf("%s: %d %s, want %s", ask, got.status, got.text, want)
			continue
		}
		for _, p := range got.Jobs {
			r := h.job(p.ID)
			var said dispatcher.Ask
			if err := json.Unmarshal([]byte(ask), &said); err != nil {
				t.Fatal(err)
			}
			if r.Job.Reason != job.ByCall || r.Job.Actor != "a dispatch token" || r.Job.Half.Commit != "" || r.Job.Force != said.Force || r.Job.Confirm != said.Confirm {
				t.Errorf("%s: job %+v", ask, r.Job)
			}
			if said.Path != "" && r.Job.Config != (job.Config{Repo: "https://github.com/new/config", Ref: "v1", Path: "deep/er"}) {
				t.Errorf("%s: tree %+v", ask, r.Job.Config)
			}
		}
	}
	if n := len(h.machines()); n == 0 {
		t.Error("nothing was launched")
	}
}

// TestCallIsNoReplay holds that who asks twice gets two jobs: somebody wants it now.
func TestCallIsNoReplay(t *testing.T) {
	h := called(t, newActions(t))
	one, two := h.post("/dispatch", callToken, `{"app":"web"}`), h.post("/dispatch", callToken, `{"app":"web"}`)
	if len(one.Jobs) != 1 || len(two.Jobs) != 1 || one.Jobs[0].ID == two.Jobs[0].ID || two.Jobs[0].State != queue.Parked {
		t.Errorf("%s, then %s", one.text, two.text)
	}
}

// TestOnlyTokensAndNamedWorkflowsCall tries everything else at the door.
func TestOnlyTokensAndNamedWorkflowsCall(t *testing.T) {
	a := newActions(t)
	h := called(t, a, "codertocat/*", "acme/web")
	other := newActions(t)
	for name, header := range map[string]string{
		"nothing":                 "",
		"another token":           "Bearer " + callToken + "x",
		"half of one":             "Bearer " + callToken[:31],
		"another scheme":          "Basic " + callToken,
		"the token of /next":      "Bearer " + nextToken,
		"a registry's token":      "Bearer " + regToken,
		"the webhooks' secret":    "Bearer " + secret,
		"Fly's token":             "Bearer " + flyToken,
		"another scheme's claims": "Basic " + a.token(nil),
		"another issuer":          "Bearer " + other.token(nil),
		"another issuer's claims": "Bearer " + other.token(map[string]any{"iss": a.URL, "repository": "acme/web"})[:40],
		"another audience":        "Bearer " + a.token(map[string]any{"aud": "somebody"}),
		"an old token":            "Bearer " + a.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"another owner":           "Bearer " + a.token(map[string]any{"repository": "evil/hello-world"}),
		"another name":            "Bearer " + a.token(map[string]any{"repository": "acme/web2"}),
		"a longer owner":          "Bearer " + a.token(map[string]any{"repository": "codertocat/x/y"}),
		"no repository":           "Bearer " + a.token(map[string]any{"repository": ""}),
		"a pull request":          "Bearer " + a.token(map[string]any{"ref": "refs/pull/7/merge"}),
		"a pull request's event":  "Bearer " + a.token(map[string]any{"event_name": "pull_request"}),
		"no ref":                  "Bearer " + a.token(map[string]any{"ref": ""}),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.door.URL+"/dispatch", strings.NewReader(`{"app":"web"}`))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		if got := h.send(req); got.status != http.StatusUnauthorized || len(got.Jobs) > 0 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	h.nothingHappened()
	if got := open(t).post("/dispatch", callToken, `{"app":"web"}`); got.status != http.StatusUnauthorized {
		t.Errorf("a dispatcher without callers: %d %s", got.status, got.text)
	}
}

// TestWorkflowAsksForItsOwnRepositoryAlone tries to have others' apps deployed, and to become a config tree.
func TestWorkflowAsksForItsOwnRepositoryAlone(t *testing.T) {
	a := newActions(t)
	h := called(t, a, "Codertocat/Hello-World", "me/config", "acme/*")
	for _, c := range []struct {
		repo, ask string
		status    int
		want      string
	}{
		{"Codertocat/Hello-World", `{"app":"web"}`, 202, "deploy web"},
		{"codertocat/HELLO-world", `{"app":"worker","force":true}`, 202, "deploy worker"},
		{"Codertocat/Hello-World", `{"repo":"` + hello + `"}`, 202, "deploy web, deploy worker"},
		{"me/config", `{"repo":"` + config + `"}`, 202, "sync"},
		{"me/config", `{"app":"tool"}`, 202, "deploy tool"},
		{"me/config", `{"app":"web"}`, 202, "deploy web"},
		{"Codertocat/Hello-World", `{"app":"api"}`, 403, ""},
		{"Codertocat/Hello-World", `{"app":"tool"}`, 403, ""},
		{"Codertocat/Hello-World", `{"app":"nobodys"}`, 403, ""}, // and is not told whether it is there
		{"Codertocat/Hello-World", `{"app":"web","confirm":true}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"` + config + `"}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"` + stranger + `"}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"https://gitlab.com/Codertocat/Hello-World"}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"https://github.com.evil.org/Codertocat/Hello-World"}`, 403, ""},
		{"Codertocat/Hello-World", `{}`, 403, ""},
		// it follows nothing there: a repository does not make itself a config tree, nor another branch one
		{"Codertocat/Hello-World", `{"repo":"` + hello + `","trees":true}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"` + hello + `","path":"evil"}`, 403, ""},
		{"Codertocat/Hello-World", `{"repo":"` + hello + `","ref":"evil"}`, 403, ""},
		{"me/config", `{"repo":"` + config + `","ref":"evil"}`, 403, ""},
		{"me/config", `{"repo":"` + config + `","path":"evil"}`, 403, ""},
		{"acme/evil", `{"repo":"https://github.com/acme/evil"}`, 403, ""},
	} {
		got := h.post("/dispatch", a.token(map[string]any{"repository": c.repo}), c.ask)
		if got.status != c.status || strings.Join(got.jobs(), ", ") != c.want {
			t.Errorf("%s asks for %s: %d %s, want %d %s", c.repo, c.ask, got.status, got.text, c.status, c.want)
		}
		for _, j := range got.Jobs {
			if r := h.job(j.ID); r.Job.Actor != "ann" || r.Job.Reason != job.ByCall {
				t.Errorf("job %+v", r.Job)
			}
		}
	}
}

// TestWorkflowsOfAnotherForgeAreNotGitHubs holds that names are not taken for those of another host.
func TestWorkflowsOfAnotherForgeAreNotGitHubs(t *testing.T) {
	a := newActions(t)
	h := called(t, a, "codertocat/*")
	h.d.Callers.Host = "git.acme.org"
	if got := h.post("/dispatch", a.token(nil), `{"app":"web"}`); got.status != http.StatusForbidden {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

// TestRepositoryThatIsIncludedSyncsTheTree asks as the workflow of a repository that a tree of another one includes.
func TestRepositoryThatIsIncludedSyncsTheTree(t *testing.T) {
	a := newActions(t)
	h := open(t, a.callers("team/apps"))
	ctx, tree := t.Context(), job.Config{Repo: config}
	gen, err := h.q.BeginGeneration(ctx, tree)
	if err == nil {
		err = h.q.WriteIncludes(ctx, tree, gen, []catalog.Include{{Repo: "https://github.com/team/apps"}})
	}
	if err == nil {
		_, err = h.q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Order: job.Order{Time: 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	got := h.post("/dispatch", a.token(map[string]any{"repository": "team/apps"}), `{"repo":"https://github.com/team/apps"}`)
	if got.status != http.StatusAccepted || len(got.Jobs) != 1 || h.job(got.Jobs[0].ID).Job.Config != tree {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestIssuerThatIsDownCallsLater(t *testing.T) {
	a := newActions(t)
	a.down = true
	h := called(t, a, "codertocat/*")
	if got := h.post("/dispatch", a.token(nil), `{"app":"web"}`); got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") {
		t.Errorf("got %d %s", got.status, got.text)
	}
	if got := h.post("/dispatch", callToken, `{"app":"web"}`); got.status != http.StatusAccepted {
		t.Errorf("by token: %d %s", got.status, got.text)
	}
}

func TestAsksThatAreNoneAreRefused(t *testing.T) {
	h := called(t, newActions(t))
	for ask, want := range map[string]int{
		``: 400, `hello`: 400, `[]`: 400, `null`: 400, `"web"`: 400, `{"app":1}`: 400, `{"app":"web"}{}`: 400, `{"app":"web"} x`: 400,
		`{"apps":"web"}`: 400, `{"app":"a\nb"}`: 400, `{"app":"a\u0000"}`: 400, `{"repo":"https://x/\u001by"}`: 400, `{"app":"` + strings.Repeat("x", 70_000) + `"}`: 400,
		`{}`: 422, `{"app":""}`: 422, `{"app":"web","repo":"` + hello + `"}`: 422, `{"app":"none"}`: 422, `{"app":"web","ref":"x"}`: 422, `{"app":"web","path":"x"}`: 422,
		`{"repo":"` + hello + `","confirm":true}`: 422, `{"repo":"https://ann:hunter2@github.com/a/b"}`: 422, `{"repo":"https://hunter2@github.com/a/b"}`: 422,
		`{"repo":"https://github.com/a/b@main"}`: 422, `{"repo":"https://github.com/a/b#x"}`: 422, `{"repo":" "}`: 422,
	} {
		if got := h.post("/dispatch", callToken, ask); got.status != want || strings.Contains(got.text, "hunter2") {
			t.Errorf("%.80s: %d %s, want %d", ask, got.status, got.text, want)
		}
	}
	h.nothingHappened()
	if strings.Contains(h.logs.String(), "hunter2") {
		t.Error("the log holds a password")
	}
}

func TestCallWithoutRedisIsNotAccepted(t *testing.T) {
	h := open(t, newActions(t).callers(), at("redis://127.0.0.1:1"))
	if got := h.post("/dispatch", callToken, `{"app":"web"}`); got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") || got.took > 5*time.Second {
		t.Errorf("got %d %s after %v", got.status, got.text, got.took)
	}
}

func TestReposOfWorkflowsNameTheirOwner(t *testing.T) {
	if err := dispatcher.CheckRepos([]string{"acme/web", "acme/*", "acme/web-?", "acme/[a-c]*"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"*/*", "*", "acme", "acme/", "/web", "a*/web", "acme/web/x", "acme/[", "?cme/web", "https://github.com/acme/web"} {
		if err := dispatcher.CheckRepos([]string{"acme/web", bad}); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
