package forgesim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

type obj = map[string]any

func TestProcessesDriveTheWorldOverHTTP(t *testing.T) {
	_, base := serve(t, forgesim.Options{})
	var made struct {
		CloneURL string `json:"clone_url"`
	}
	if got := control(t, http.MethodPut, base+"/_sim/repos", obj{"repo": "acme/web", "private": true}, &made); got != 200 || made.CloneURL != base+"/acme/web.git" {
		t.Fatalf("repos: %d %+v", got, made)
	}
	l := listen(t)
	if _, _, err := clientOf(t, base, admin).Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "the-secret", "push", "pull_request")); err != nil {
		t.Fatal(err)
	}
	var change struct {
		Before, After string
		Deliveries    []forgesim.Delivery
	}
	control(t, http.MethodPost, base+"/_sim/commit", obj{"repo": "acme/web", "files": obj{"a": "1"}, "push": true}, &change)
	if len(change.After) != 40 || len(change.Deliveries) != 1 || change.Deliveries[0].Code != 202 {
		t.Errorf("commit = %+v", change)
	}
	control(t, http.MethodPost, base+"/_sim/commit", obj{"repo": "acme/web", "branch": "next", "files": obj{"a": "2"}}, nil)
	var told []forgesim.Delivery
	if control(t, http.MethodPost, base+"/_sim/push", obj{"repo": "acme/web"}, &told); len(told) != 1 {
		t.Errorf("told = %+v", told)
	}
	control(t, http.MethodPost, base+"/_sim/pulls", obj{"repo": "acme/web", "head": "next"}, nil)
	control(t, http.MethodPost, base+"/_sim/comments", obj{"repo": "acme/web", "number": 1, "body": "hm", "user": "eve"}, nil)
	control(t, http.MethodPut, base+"/_sim/pulls", obj{"repo": "acme/web", "number": 1, "state": "closed"}, nil)
	control(t, http.MethodPost, base+"/_sim/wait", nil, nil)
	var state json.RawMessage
	if got := control(t, http.MethodGet, base+"/_sim/state", nil, &state); got != 200 {
		t.Fatalf("state: %d", got)
	}
	for _, secret := range []string{"the-secret", admin} {
		if strings.Contains(string(state), secret) {
			t.Errorf("the state shows %q", secret)
		}
	}
	var seen forgesim.State
	if err := json.Unmarshal(state, &seen); err != nil {
		t.Fatal(err)
	}
	r := seen.Repo("acme/web")
	if len(r.Hooks) != 1 || len(r.Hooks[0].Deliveries) != 5 || len(r.Pulls) != 1 || r.Pulls[0].State != "closed" || len(r.Comments) != 1 || len(r.Refs) != 3 {
		t.Errorf("state = %s", state)
	}
	for path, body := range map[string]obj{
		"/_sim/push": {"repo": "acme/none"}, "/_sim/commit": {"repo": "../x", "files": obj{"a": "1"}}, "/_sim/repos": {"repo": "../../x"}, "/_sim/faults": {"no": "list"},
	} {
		method := http.MethodPost
		if path == "/_sim/repos" || path == "/_sim/faults" {
			method = http.MethodPut
		}
		if got := control(t, method, base+path, body, nil); got != http.StatusBadRequest {
			t.Errorf("%s with %v: %d", path, body, got)
		}
	}
}

func TestFaultsComeBeforeOrAfterTheEffect(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	set := func() error {
		_, _, err := clientOf(t, base, admin).Repositories.CreateStatus(t.Context(), "acme", "web", sha, &github.RepoStatus{State: github.String("success")})
		return err
	}
	count := func() int { return len(s.State().Repo("acme/web").Statuses) }
	for _, tt := range []struct {
		name   string
		do     obj
		effect int
	}{
		{"status", obj{"status": 502}, 0},
		{"status after", obj{"status": 500, "after": true}, 1},
		{"drop before", obj{"drop": "before"}, 0},
		{"drop after", obj{"drop": "after"}, 1},
		{"limited", obj{"status": 403, "header": obj{"Retry-After": "7"}, "body": obj{"message": "secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/resources-in-the-rest-api#secondary-rate-limits"}}, 0},
	} {
		before := count()
		faults := []obj{{"match": obj{"method": "POST", "path": "*/statuses/*"}, "do": tt.do}}
		if got := control(t, http.MethodPut, base+"/_sim/faults", faults, nil); got != 200 {
			t.Fatalf("%s: %d", tt.name, got)
		}
		if err := set(); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
		if got := count() - before; got != tt.effect {
			t.Errorf("%s: %d statuses were made, want %d", tt.name, got, tt.effect)
		}
		if err := set(); err != nil {
			t.Errorf("%s: the fault did not end: %v", tt.name, err)
		}
	}
}

func TestDeliveriesFailAsTheyAreTold(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	l := listen(t)
	if _, _, err := clientOf(t, base, admin).Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "x", "push")); err != nil {
		t.Fatal(err)
	}
	s.Wait()
	for _, tt := range []struct {
		do         forgesim.Effect
		code, hear int
	}{{forgesim.Effect{Drop: "before"}, 0, 0}, {forgesim.Effect{Drop: "after"}, 0, 1}, {forgesim.Effect{Status: 503}, 503, 0}, {forgesim.Effect{DelayMS: 1}, 202, 1}} {
		before := len(l.all("push"))
		if err := s.SetFaults(forgesim.Fault{Match: forgesim.Match{Method: "HOOK", Path: "/acme/web/push"}, Do: tt.do}); err != nil {
			t.Fatal(err)
		}
		list, err := s.Push(t.Context(), forgesim.Pushed{Repo: "acme/web", Ref: "refs/heads/main"})
		if err != nil || len(list) != 1 || list[0].Code != tt.code {
			t.Errorf("%+v: %+v, %v", tt.do, list, err)
		}
		if got := len(l.all("push")) - before; got != tt.hear {
			t.Errorf("%+v: heard %d, want %d", tt.do, got, tt.hear)
		}
	}
}
