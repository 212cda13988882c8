package forgesim_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/forge/forgesim"
)

func TestStatusesAreOfCommitsThatExist(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c := clientOf(t, base, admin).Repositories
	set := func(sha, state, context, description string) error {
		_, _, err := c.CreateStatus(t.Context(), "acme", "web", sha, &github.RepoStatus{State: &state, Context: &context, Description: &description})
		return err
	}
	refused(t, set(strings.Repeat("ab", 20), "success", "x", ""), http.StatusUnprocessableEntity, "No commit found")
	refused(t, set(sha, "great", "x", ""), http.StatusUnprocessableEntity, "not included")
	refused(t, set(sha, "success", "x", strings.Repeat("ä", 141)), http.StatusUnprocessableEntity, "too long")
	for _, one := range [][2]string{{"pending", "flycd/web"}, {"success", "flycd/web"}, {"pending", "flycd/api"}} {
		if err := set(sha, one[0], one[1], strings.Repeat("ä", 140)); err != nil {
			t.Fatal(err)
		}
	}
	all, _, err := c.GetCombinedStatus(t.Context(), "acme", "web", "main", nil)
	if err != nil || all.GetState() != "pending" || all.GetTotalCount() != 2 || all.GetSHA() != sha {
		t.Errorf("combined = %v, %v", all, err)
	}
	if err := set(sha, "failure", "flycd/api", ""); err != nil {
		t.Fatal(err)
	}
	if all, _, err = c.GetCombinedStatus(t.Context(), "acme", "web", sha, nil); err != nil || all.GetState() != "failure" {
		t.Errorf("combined = %v, %v", all, err)
	}
	first, resp, err := c.ListStatuses(t.Context(), "acme", "web", sha, &github.ListOptions{PerPage: 3})
	if err != nil || len(first) != 3 || first[0].GetState() != "failure" || resp.NextPage != 2 {
		t.Errorf("page 1 = %v, next %d, %v", first, resp.NextPage, err)
	}
	second, resp, err := c.ListStatuses(t.Context(), "acme", "web", sha, &github.ListOptions{PerPage: 3, Page: 2})
	if err != nil || len(second) != 1 || resp.NextPage != 0 {
		t.Errorf("page 2 = %v, next %d, %v", second, resp.NextPage, err)
	}
}

func TestSuccessfulDeploymentRetiresItsPredecessor(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c := clientOf(t, base, admin).Repositories
	if _, _, err := c.CreateStatus(t.Context(), "acme", "web", sha, &github.RepoStatus{State: github.String("pending")}); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.CreateDeployment(t.Context(), "acme", "web", &github.DeploymentRequest{Ref: &sha})
	refused(t, err, http.StatusConflict, "status checks failed")
	var ids []int64
	for range 2 {
		d, _, err := c.CreateDeployment(t.Context(), "acme", "web", &github.DeploymentRequest{
			Ref: &sha, RequiredContexts: &[]string{}, AutoMerge: github.Bool(false), Environment: github.String("prod/web"), Payload: map[string]string{"job": "j1"},
		})
		if err != nil || !strings.Contains(string(d.Payload), "j1") {
			t.Fatalf("deployment = %v, %v", d, err)
		}
		ids = append(ids, d.GetID())
		for _, state := range []string{"in_progress", "success"} {
			_, _, err := c.CreateDeploymentStatus(t.Context(), "acme", "web", d.GetID(), &github.DeploymentStatusRequest{State: &state, EnvironmentURL: github.String("https://web.fly.dev")})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	got := s.State().Repo("acme/web").Deployments
	if fmt.Sprint(got[0].States, got[1].States) != "[in_progress success inactive] [in_progress success]" || got[1].URL != "https://web.fly.dev" {
		t.Errorf("deployments = %+v", got)
	}
	list, _, err := c.ListDeployments(t.Context(), "acme", "web", &github.DeploymentsListOptions{SHA: sha, Environment: "prod/web"})
	if err != nil || len(list) != 2 || list[0].GetID() != ids[1] {
		t.Errorf("list = %v, %v", list, err)
	}
	list, _, err = c.ListDeployments(t.Context(), "acme", "web", &github.DeploymentsListOptions{Environment: "other"})
	if err != nil || len(list) != 0 {
		t.Errorf("list of another environment = %v, %v", list, err)
	}
}

func TestPullRequestsOfForksAreReadInTheRepositoryItself(t *testing.T) {
	s, base := serve(t, forgesim.Options{})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	repoWith(t, s, "eve/web", map[string]string{"a": "1"})
	l, c := listen(t), clientOf(t, base, admin)
	if _, _, err := c.Repositories.CreateHook(t.Context(), "acme", "web", hookAt(l.URL, "x", "pull_request", "issue_comment")); err != nil {
		t.Fatal(err)
	}
	change, _, err := s.Commit(t.Context(), forgesim.Commit{Repo: "eve/web", Branch: "evil", Files: map[string]string{"a": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := s.OpenPull(t.Context(), forgesim.Pull{Repo: "acme/web", Head: "evil", HeadRepo: "eve/web", Title: "trust me"})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.State().Repo("acme/web").Refs[fmt.Sprintf("refs/pull/%d/head", n)]; got != change.After {
		t.Errorf("refs/pull/%d/head = %q, want %s", n, got, change.After)
	}
	next, _, err := s.Commit(t.Context(), forgesim.Commit{Repo: "eve/web", Branch: "evil", Files: map[string]string{"a": "3"}, Push: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Repositories.GetCommit(t.Context(), "acme", "web", next.After, nil); err != nil {
		t.Errorf("the fork's new commit is not in the repository: %v", err)
	}
	comment, _, err := c.Issues.CreateComment(t.Context(), "acme", "web", int(n), &github.IssueComment{Body: github.String("<!-- flycd --> plan")})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Issues.EditComment(t.Context(), "acme", "web", comment.GetID(), &github.IssueComment{Body: github.String("<!-- flycd --> newer")}); err != nil {
		t.Fatal(err)
	}
	all, _, err := c.Issues.ListComments(t.Context(), "acme", "web", int(n), nil)
	if err != nil || len(all) != 1 || all[0].GetBody() != "<!-- flycd --> newer" {
		t.Errorf("comments = %v, %v", all, err)
	}
	if _, err := s.Comment(t.Context(), forgesim.Comment{Repo: "acme/web", Number: n, Body: "/flycd plan", User: "eve"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ClosePull(t.Context(), "acme/web", n, true); err != nil {
		t.Fatal(err)
	}
	s.Wait()
	var actions []string
	for _, r := range l.all("pull_request") {
		parsed, err := github.ParseWebHook("pull_request", r.body)
		if err != nil {
			t.Fatal(err)
		}
		p := parsed.(*github.PullRequestEvent)
		actions = append(actions, p.GetAction())
		if p.GetPullRequest().GetHead().GetRepo().GetFullName() != "eve/web" || p.GetPullRequest().GetBase().GetRepo().GetFullName() != "acme/web" {
			t.Errorf("%s: head and base = %s", p.GetAction(), r.body)
		}
	}
	if got := strings.Join(actions, " "); got != "opened synchronize closed" {
		t.Errorf("actions = %s", got)
	}
	heard := l.all("issue_comment")
	if len(heard) != 3 {
		t.Fatalf("%d comment events, want 3", len(heard))
	}
	parsed, err := github.ParseWebHook("issue_comment", heard[len(heard)-1].body)
	if err != nil {
		t.Fatal(err)
	}
	if e := parsed.(*github.IssueCommentEvent); !e.GetIssue().IsPullRequest() || e.GetComment().GetUser().GetLogin() != "eve" || e.GetComment().GetAuthorAssociation() != "NONE" {
		t.Errorf("event = %s", heard[len(heard)-1].body)
	}
}

func TestRolesSayWhoMayWrite(t *testing.T) {
	yes := true
	s, base := serve(t, forgesim.Options{Public: true})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web", Members: map[string]string{"Walt": "write", "tina": "triage", "mo": "maintain"}}); err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, base, admin)
	for login, want := range map[string]string{"walt": "write", "tina": "read", "mo": "write", "acme": "admin", "eve": "read"} {
		got, _, err := c.Repositories.GetPermissionLevel(t.Context(), "acme", "web", login)
		if err != nil || got.GetPermission() != want {
			t.Errorf("%s may %s, %v, want %s", login, got.GetPermission(), err, want)
		}
	}
	if _, err := s.SetRepo(forgesim.Repo{Repo: "acme/web", Private: &yes}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := c.Repositories.GetPermissionLevel(t.Context(), "acme", "web", "eve"); err != nil || got.GetPermission() != "none" {
		t.Errorf("a stranger may %s in a private repository, %v", got.GetPermission(), err)
	}
}

func TestTokensDoWhatTheirPermissionsSay(t *testing.T) {
	s, base := serve(t, forgesim.Options{Public: true, Tokens: map[string]forgesim.Token{
		admin:   {Login: "acme"},
		"hooks": {Login: "hank", Repos: []string{"acme/web"}, Permissions: map[string]string{"repository_hooks": "write"}},
		"other": {Login: "olga", Repos: []string{"olga/*"}},
	}})
	sha := repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	pending := &github.RepoStatus{State: github.String("pending")}
	for _, tt := range []struct {
		token           string
		hooks, statuses int
	}{{admin, 0, 0}, {"hooks", 0, 403}, {"other", 404, 404}, {"wrong", 401, 401}, {"", 404, 401}} {
		c := clientOf(t, base, tt.token).Repositories
		_, _, err := c.ListHooks(t.Context(), "acme", "web", nil)
		wantStatus(t, tt.token+" lists hooks", err, tt.hooks)
		_, _, err = c.CreateStatus(t.Context(), "acme", "web", sha, pending)
		wantStatus(t, tt.token+" sets a status", err, tt.statuses)
	}
}

func wantStatus(t *testing.T, what string, err error, want int) {
	t.Helper()
	got := 0
	if e := new(github.ErrorResponse); errors.As(err, &e) {
		got = e.Response.StatusCode
	} else if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func TestRateLimitIsTold(t *testing.T) {
	s, base := serve(t, forgesim.Options{RateLimit: 2, Public: true})
	repoWith(t, s, "acme/web", map[string]string{"a": "1"})
	c := clientOf(t, base, admin)
	for range 2 {
		if _, _, err := c.Repositories.Get(t.Context(), "acme", "web"); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := clientOf(t, base, admin).Repositories.Get(t.Context(), "acme", "web")
	var limited *github.RateLimitError
	if !errors.As(err, &limited) || limited.Rate.Remaining != 0 || time.Until(limited.Rate.Reset.Time) < 50*time.Minute {
		t.Errorf("error = %v, want the rate limit and when it ends", err)
	}
	s.Advance(time.Hour)
	if _, _, err := clientOf(t, base, admin).Repositories.Get(t.Context(), "acme", "web"); err != nil {
		t.Error(err)
	}
}
