package dispatcher_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

const botToken = "ghp_botbotbotbotbot"

// hub is a simulated forge with a config repository, acme/config.
type hub struct {
	*forgesim.Server
	t          *testing.T
	base, repo string
	commit     string
}

// newHub makes the repository with a commit on main.
func newHub(t *testing.T) *hub {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string]string{"contents": "read", "metadata": "read", "statuses": "write", "deployments": "write", "pull_requests": "write"}
	sim, err := forgesim.New(forgesim.Options{
		Tokens: map[string]forgesim.Token{botToken: {Login: "bot"}},
		Apps: []forgesim.App{{
			ID: 7, Slug: "flycd-acme", PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Permissions: rights,
			Installations: []forgesim.Installation{{ID: 70, Account: "acme"}},
		}},
		Orgs: []string{"acme"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	f := &hub{Server: sim, t: t}
	if f.base, err = sim.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f.repo = f.make("acme/config", map[string]string{"ann": "write", "eve": "read"})
	f.commit = f.write("acme/config", "main", "one")
	return f
}

func (f *hub) make(name string, members map[string]string) (url string) {
	f.t.Helper()
	private := true
	url, err := f.SetRepo(forgesim.Repo{Repo: name, Private: &private, Members: members})
	if err != nil {
		f.t.Fatal(err)
	}
	return url
}

func (f *hub) write(repo, branch, message string) (commit string) {
	f.t.Helper()
	c, _, err := f.Commit(f.t.Context(), forgesim.Commit{Repo: repo, Branch: branch, Message: message, Files: map[string]string{"x": message}, Sender: "ann"})
	if err != nil {
		f.t.Fatal(err)
	}
	return c.After
}

func (f *hub) client() *forge.Client { return &forge.Client{BaseURL: f.base, Token: botToken} }

func (f *hub) app() *forge.Client {
	f.t.Helper()
	key, err := signingKey()
	if err != nil {
		f.t.Fatal(err)
	}
	return &forge.Client{BaseURL: f.base, App: &forge.App{ID: "7", Key: key}}
}

// hooked is a house that the forge tells of everything, with acme/config for its root, and what it answered to the
// ping.
func (f *hub) hooked() (*house, forgesim.Delivery) {
	f.t.Helper()
	h := open(f.t, roots(f.t, f.repo), func(h *house) { h.d.Forge = f.client() })
	_, err := f.client().EnsureHook(f.t.Context(), f.repo, forge.Hook{URL: h.door.URL + "/webhook", Secret: secret, Events: []string{"push", "pull_request", "issue_comment"}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Wait()
	hooks := f.State().Repo("acme/config").Hooks
	return h, hooks[len(hooks)-1].Deliveries[0]
}

// one is the only delivery of several hooks' worth, read.
func (h *house) one(list []forgesim.Delivery, err error) (forgesim.Delivery, queue.Answer) {
	h.t.Helper()
	if err != nil || len(list) != 1 {
		h.t.Fatal(list, err)
	}
	var a queue.Answer
	if err := json.Unmarshal([]byte(list[0].Answer), &a); err != nil {
		h.t.Fatalf("answered %s", list[0].Answer)
	}
	return list[0], a
}

// onlyThePing wants the first sync to be all that was made.
func (h *house) onlyThePing() {
	h.t.Helper()
	jobs, err := h.q.Jobs(h.t.Context(), queue.Filter{})
	if err != nil || len(jobs) != 1 || jobs[0].Job.Reason != job.ByPing {
		h.t.Errorf("the queue holds %v, %v", jobs, err)
	}
}

func (f *hub) open(in forgesim.Pull) (int64, []forgesim.Delivery) {
	f.t.Helper()
	n, list, err := f.OpenPull(f.t.Context(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	return n, list
}

// TestPullRequestIsPlanned opens one from a branch of the repository.
func TestPullRequestIsPlanned(t *testing.T) {
	f := newHub(t)
	h, _ := f.hooked()
	head := f.write("acme/config", "change", "two")
	n, list := f.open(forgesim.Pull{Repo: "acme/config", Head: "change", User: "ann"})
	d, a := h.one(list, nil)
	if d.Code != http.StatusAccepted || len(a.Jobs) != 1 {
		t.Fatalf("got %d %s", d.Code, d.Answer)
	}
	j := h.job(a.Jobs[0].ID).Job
	if j.Kind != job.Plan || j.Pull != int(n) || j.Untrusted || j.Half.Commit != head || j.Reason != job.ByPull || j.Actor != "ann" ||
		j.Half.Ref != "refs/pull/1/head" || job.RepoKey(j.Config.Repo) != job.RepoKey(f.repo) {
		t.Errorf("job %+v", j)
	}
	// a new head is planned as well, and takes the place of the old one
	next := f.write("acme/config", "change", "three")
	list, err := f.Push(t.Context(), forgesim.Pushed{Repo: "acme/config"})
	if err != nil {
		t.Fatal(err)
	}
	planned := 0
	for _, d := range list {
		if strings.Contains(d.Answer, `"kind":"plan"`) {
			planned++
			var a queue.Answer
			if err := json.Unmarshal([]byte(d.Answer), &a); err != nil || h.job(a.Jobs[0].ID).Job.Half.Commit != next {
				t.Errorf("%s, %v", d.Answer, err)
			}
		}
	}
	if planned != 1 {
		t.Errorf("%d plans of %+v", planned, list)
	}
	closed, a := h.one(f.ClosePull(t.Context(), "acme/config", n, false))
	if closed.Code != http.StatusOK || len(a.Jobs) > 0 {
		t.Errorf("closed: %d %s", closed.Code, closed.Answer)
	}
}

// TestForkIsPlannedOnceSomebodyWhoMayWriteAsks tries who may ask, and how.
func TestForkIsPlannedOnceSomebodyWhoMayWriteAsks(t *testing.T) {
	f := newHub(t)
	h, _ := f.hooked()
	f.make("eve/config", nil)
	f.write("eve/config", "main", "one")
	head := f.write("eve/config", "evil", "two")
	n, list := f.open(forgesim.Pull{Repo: "acme/config", HeadRepo: "eve/config", Head: "evil", User: "eve"})
	if d, a := h.one(list, nil); d.Code != http.StatusOK || len(a.Jobs) > 0 || !strings.Contains(a.Ignored, "fork") || !strings.Contains(a.Ignored, "/flycd plan") {
		t.Fatalf("got %d %s", d.Code, d.Answer)
	}
	for _, c := range []struct {
		user, body, ignored string
	}{
		{"eve", "/flycd plan", "eve may not"},
		{"nobody", "/flycd plan", "nobody may not"},
		{"../../ann", "/flycd plan", "may not"},
		{"ann?x=", "/flycd plan", "may not"},
		{"ann", "nice work", "does not say"},
		{"ann", "please do not /flycd plan", "does not say"},
		{"ann", "> /flycd plan", "does not say"},
		{"ann", "/flycd plan --apply", "does not say"},
		{"ann", "/flycd planning", "does not say"},
		{"ann", "hello\n/flycd plan", "does not say"},
		{"ann", "", "does not say"},
		{"ann", strings.Repeat("/flycd plan ", 5000), "does not say"},
	} {
		d, a := h.one(f.Comment(t.Context(), forgesim.Comment{Repo: "acme/config", Number: n, Body: c.body, User: c.user}))
		if d.Code != http.StatusOK || len(a.Jobs) > 0 || !strings.Contains(a.Ignored, c.ignored) {
			t.Errorf("%s says %.40q: %d %s", c.user, c.body, d.Code, d.Answer)
		}
	}
	h.onlyThePing()
	d, a := h.one(f.Comment(t.Context(), forgesim.Comment{Repo: "acme/config", Number: n, Body: "  /flycd plan \r\nthank you", User: "ann"}))
	if d.Code != http.StatusAccepted || len(a.Jobs) != 1 {
		t.Fatalf("got %d %s", d.Code, d.Answer)
	}
	j := h.job(a.Jobs[0].ID).Job
	if j.Kind != job.Plan || !j.Untrusted || j.Half.Commit != head || j.Actor != "ann" || job.RepoKey(j.Half.Repo) != job.RepoKey(f.repo) {
		t.Errorf("job %+v", j)
	}
}

func TestPullRequestIntoABranchWithoutATreeIsNotPlanned(t *testing.T) {
	f := newHub(t)
	h, _ := f.hooked()
	f.write("acme/config", "side", "side")
	f.write("acme/config", "change", "two")
	n, list := f.open(forgesim.Pull{Repo: "acme/config", Base: "side", Head: "change", User: "ann"})
	d, a := h.one(list, nil)
	if d.Code != http.StatusOK || len(a.Jobs) > 0 || !strings.Contains(a.Ignored, "no config tree follows side") {
		t.Errorf("got %d %s", d.Code, d.Answer)
	}
	d, a = h.one(f.Comment(t.Context(), forgesim.Comment{Repo: "acme/config", Number: n, Body: "/flycd plan", User: "ann"}))
	if d.Code != http.StatusOK || len(a.Jobs) > 0 || !strings.Contains(a.Ignored, "no config tree follows side") {
		t.Errorf("asked for: %d %s", d.Code, d.Answer)
	}
	h.onlyThePing()
}

// TestForgeThatDoesNotLetUsLookIsSaidSo comments where the dispatcher has no credentials, or bad ones.
func TestForgeThatDoesNotLetUsLookIsSaidSo(t *testing.T) {
	f := newHub(t)
	f.write("acme/config", "change", "two")
	for name, c := range map[string]struct {
		forge  *forge.Client
		status int
		want   string
	}{
		"none":    {nil, 200, "FLYCD_GITHUB_TOKEN"},
		"bad":     {&forge.Client{BaseURL: f.base, Token: "ghp_other"}, 200, "does not let the dispatcher look"},
		"foreign": {&forge.Client{BaseURL: "https://ghe.example/api/v3", Token: "ghp_other"}, 200, "does not let the dispatcher look"},
	} {
		h := open(t, roots(t, f.repo), func(h *house) {
			if c.forge != nil {
				h.d.Forge = c.forge
			}
		})
		body, err := json.Marshal(map[string]any{
			"action": "created", "issue": map[string]any{"number": 1, "pull_request": map[string]any{}}, "comment": map[string]any{"id": 5, "body": "/flycd plan"},
			"repository": map[string]any{"clone_url": f.repo, "default_branch": "main"}, "sender": map[string]any{"login": "ann"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.send(h.signed("issue_comment", "guid", body)); got.status != c.status || !strings.Contains(got.text, c.want) || strings.Contains(got.text, "ghp_") {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

// TestPingIsTheFirstSync sets the webhook up: nobody pushes, and the tree is read.
func TestPingIsTheFirstSync(t *testing.T) {
	f := newHub(t)
	h, ping := f.hooked()
	var a queue.Answer
	if err := json.Unmarshal([]byte(ping.Answer), &a); err != nil || ping.Event != "ping" || ping.Code != http.StatusAccepted || len(a.Jobs) != 1 {
		t.Fatalf("%+v, %v", ping, err)
	}
	j := h.job(a.Jobs[0].ID).Job
	if j.Kind != job.Sync || j.Reason != job.ByPing || job.RepoKey(j.Config.Repo) != job.RepoKey(f.repo) || j.Half.Commit != "" {
		t.Errorf("job %+v", j)
	}
	// the same delivery again is the same job; so is a ping while the sync still waits, as far as machines go
	body := []byte(`{"zen":"x","hook_id":1,"repository":{"clone_url":"` + f.repo + `","default_branch":"main"},"sender":{"login":"ann"}}`)
	one, two := h.send(h.signed("ping", "guid-2", body)), h.send(h.signed("ping", "guid-2", body))
	if one.status != http.StatusAccepted || one.text != two.text {
		t.Errorf("%d %s, then %d %s", one.status, one.text, two.status, two.text)
	}
	if n := len(h.machines()); n != 1 {
		t.Errorf("%d machines, want one", n)
	}
}

func TestPingOfAnotherRepositoryIsNoSync(t *testing.T) {
	h := open(t, roots(t, "https://github.com/acme/config"))
	for name, body := range map[string]string{
		"another repository": `{"zen":"x","repository":{"clone_url":"https://github.com/acme/other","default_branch":"main"}}`,
		"an organisation's":  `{"zen":"x","organization":{"login":"acme"}}`,
		"none":               `{}`,
	} {
		if got := h.send(h.signed("ping", "guid", []byte(body))); got.status != http.StatusOK || len(got.Jobs) > 0 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	h.nothingHappened()
}

// TestCommitThatAsksToBeSkippedIsSkippedOnce pushes with the words in the head commit, and then without.
func TestCommitThatAsksToBeSkippedIsSkippedOnce(t *testing.T) {
	f := newHub(t)
	h, _ := f.hooked()
	for _, r := range h.active() {
		h.finish(r) // the ping's sync
	}
	push := func(message string) (forgesim.Delivery, queue.Answer) {
		f.write("acme/config", "main", message)
		return h.one(f.Push(t.Context(), forgesim.Pushed{Repo: "acme/config", Ref: "refs/heads/main", Sender: "ann"}))
	}
	for _, message := range []string{"typo [skip flycd]", "typo\n\n[FlyCD Skip]"} {
		if d, a := push(message); d.Code != http.StatusOK || len(a.Jobs) > 0 || !strings.Contains(a.Ignored, "skip") {
			t.Errorf("%q: %d %s", message, d.Code, d.Answer)
		}
	}
	if d, a := push("skip flycd? no"); d.Code != http.StatusAccepted || len(a.Jobs) != 1 {
		t.Errorf("then: %d %s", d.Code, d.Answer)
	}
}
