package dispatcher

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Ask is what somebody wants deployed: the body of POST /dispatch, and what flycd dispatch and flycd sync send.
type Ask struct {
	// App is an app of the catalog. Repo is a repository instead: its config trees are synced, and the apps that follow
	// it deployed.
	App  string `json:"app,omitempty"`
	Repo string `json:"repo,omitempty"`
	// Ref is a branch, a tag or a full ref of Repo; empty means the default branch. Path names a config tree in it that
	// nothing in the catalog names yet.
	Ref  string `json:"ref,omitempty"`
	Path string `json:"path,omitempty"`
	// Trees syncs the config trees of Repo alone.
	Trees bool `json:"trees,omitempty"`
	// Force deploys although nothing changed; Confirm lets the app's deploy destroy what is lost for good.
	Force   bool `json:"force,omitempty"`
	Confirm bool `json:"confirm,omitempty"`
}

// Wished makes the jobs of an ask. They name no commit and no time: the runner asks for the newest commit, and the
// queue's clock says when they came. The error wraps job.ErrRejected where nothing is there that could be deployed.
func Wished(ctx context.Context, q *queue.Queue, a Ask, roots []job.Config) ([]job.Job, error) {
	now := time.Now().UTC()
	jobs, err := a.jobs(ctx, q, roots)
	for i := range jobs {
		j := &jobs[i]
		j.Half, j.Order, j.Force, j.Created = unpinned(*j), job.Order{}, a.Force, now
		j.ID = job.SaltedID(j.Kind, j.Subject(), rand.Text())
	}
	return jobs, err
}

// unpinned is the half of a job that names no commit: only a fan-out needs one, to say which repository it is over.
func unpinned(j job.Job) job.Half {
	if j.App != "" || j.Config.Repo != "" {
		return job.Half{}
	}
	h := job.Half{Side: job.SourceSide, Repo: j.Half.Repo, Ref: j.Half.Ref, Default: j.Half.Default}
	if h.Default {
		h.Ref = ""
	}
	return h
}

func (a Ask) jobs(ctx context.Context, q *queue.Queue, roots []job.Config) ([]job.Job, error) {
	switch {
	case (a.App == "") == (a.Repo == ""):
		return nil, job.Rejectf("expected either an app or a repo")
	case a.App != "":
		return a.forApp(ctx, q)
	case a.Confirm:
		return nil, job.Rejectf("confirm is for one app: name the app that may lose what is gone for good")
	}
	tree := job.Config{Repo: a.Repo, Ref: a.Ref, Path: strings.Trim(a.Path, "/")}
	if strings.Contains(a.Repo, "@") && !strings.HasPrefix(a.Repo, "git@") && !strings.Contains(a.Repo, "://git@") {
		return nil, job.Rejectf("repo: expected a repository's URL without a login; ref and path have names of their own")
	}
	push := catalog.Push{Repo: tree.Repo, Ref: fullRef(tree.Ref)}
	if push.Ref == "" {
		// No ref was named: whatever follows the default branch, under whichever name.
		push.Ref, push.DefaultBranch = "refs/heads/HEAD", "HEAD"
	}
	routes, more, err := q.Routes(ctx, push, catalog.MaxApps)
	if err != nil {
		return nil, err
	}
	found, _ := catalog.Jobs(push, catalog.Found{Routes: routes, More: more, Roots: roots}, time.Now())
	var jobs []job.Job
	for _, j := range found {
		syncsTree := j.Kind == job.Sync && j.Config.Repo != ""
		if a.Trees && !syncsTree || a.Path != "" && j.Config.Path != tree.Path {
			continue
		}
		jobs = append(jobs, j)
	}
	if len(jobs) == 0 {
		jobs = []job.Job{{Kind: job.Sync, Config: tree}}
	}
	return jobs, nil
}

func (a Ask) forApp(ctx context.Context, q *queue.Queue) ([]job.Job, error) {
	entry, ok, err := q.Entry(ctx, a.App)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, job.Rejectf("no app %s is in the catalog: sync the config repo that names it", shown(a.App))
	}
	return []job.Job{{Kind: job.Deploy, App: a.App, Org: entry.Org, Config: entry.Config, Confirm: a.Confirm}}, nil
}

func fullRef(ref string) string {
	if ref == "" || strings.HasPrefix(ref, "refs/") {
		return ref
	}
	return "refs/heads/" + ref
}

// Callers are those who may POST /dispatch.
type Callers struct {
	// Tokens are bearer tokens; who has one may ask for everything.
	Tokens []string
	// Workflows checks the tokens of GitHub Actions; nil takes none. A workflow may ask for what concerns its own
	// repository, where Repos (OWNER/NAME, with * as in path.Match) names that.
	Workflows *identity.Verifier
	Repos     []string
}

var (
	// errCaller is somebody who may not ask for anything.
	errCaller = errors.New("the bearer token is neither one of this dispatcher's FLYCD_DISPATCH_TOKENS nor of a workflow whose repository FLYCD_OIDC_REPOS names")
	// errNotTheirs is an ask for something that is none of the caller's business.
	errNotTheirs = errors.New("a workflow may ask for what concerns its own repository")
)

// call takes an ask from a program, queues its jobs and launches what can be.
func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	status, body := s.called(w, r)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, status, body)
	s.report(r.Context())
}

func (s *Server) called(w http.ResponseWriter, r *http.Request) (status int, body any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), replyWithin)
	defer cancel()
	who, err := s.caller(ctx, r)
	if err != nil {
		s.Log.WarnContext(ctx, "call refused", "reason", err.Error())
		if errors.Is(err, errCaller) {
			return http.StatusUnauthorized, refused{err.Error()}
		}
		return http.StatusServiceUnavailable, refused{"whose token it is cannot be found out now: try again"}
	}
	a, err := readAsk(w, r)
	if err != nil {
		return http.StatusBadRequest, refused{err.Error()}
	}
	jobs, err := Wished(ctx, s.Queue, a, s.Roots)
	if err == nil {
		jobs, err = who.own(ctx, s.Queue, jobs)
	}
	if err == nil {
		for i := range jobs {
			jobs[i].Reason, jobs[i].Actor = job.ByCall, who.name
		}
		return s.queued(ctx, jobs)
	}
	s.Log.WarnContext(ctx, "call not taken", "actor", who.name, "reason", err.Error())
	switch {
	case errors.Is(err, errNotTheirs):
		return http.StatusForbidden, refused{err.Error()}
	case errors.Is(err, job.ErrRejected):
		return http.StatusUnprocessableEntity, refused{err.Error()}
	}
	return unaccepted(err)
}

// queued pushes the jobs and runs a due pass.
func (s *Server) queued(ctx context.Context, jobs []job.Job) (int, any) {
	said, _, err := s.Queue.Push(ctx, queue.Delivery{Jobs: jobs})
	if err != nil {
		return unaccepted(err)
	}
	s.counts.pushed(len(said.Jobs), false)
	report, err := s.Due(ctx)
	s.Log.InfoContext(ctx, "called", "jobs", len(said.Jobs), "launched", report.Launched, "pass", text(err))
	return http.StatusAccepted, said
}

func readAsk(w http.ResponseWriter, r *http.Request) (a Ask, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAsked))
	if err != nil {
		return a, fmt.Errorf("%w: the body is longer than %d bytes, or broke off", errAsking, maxAsked)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("%w: expected {\"app\": …} or {\"repo\": …, \"ref\": …, \"path\": …}, and force or confirm: %.200s", errAsking, err.Error())
	}
	if strings.ContainsAny(a.App+a.Repo+a.Ref+a.Path, "\x00\r\n") {
		return a, fmt.Errorf("%w: a control character", errAsking)
	}
	return a, nil
}

// caller is who asks; repo is empty for those who may ask for everything.
type caller struct{ name, repo string }

func (s *Server) caller(ctx context.Context, r *http.Request) (caller, error) {
	header := r.Header.Get("Authorization")
	known := false
	for _, token := range s.Callers.Tokens {
		known = bearer(header, token) || known // each is compared, whichever fits
	}
	if known {
		return caller{name: "a dispatch token"}, nil
	}
	_, raw, _ := strings.Cut(header, " ")
	if s.Callers.Workflows == nil || identity.Issuer(raw) == "" {
		return caller{}, errCaller
	}
	c, err := s.Callers.Workflows.Verify(ctx, strings.TrimSpace(raw))
	switch {
	case errors.Is(err, identity.ErrUntrusted):
		return caller{}, fmt.Errorf("%w: %w", errCaller, err)
	case err != nil:
		return caller{}, err
	case !s.Callers.names(c.Repository) || strings.HasPrefix(c.Ref, "refs/pull/"):
		// whoever may open a pull request decides what its workflow runs
		return caller{}, fmt.Errorf("%w: it is of %s at %s", errCaller, shown(c.Repository), shown(c.Ref))
	}
	return caller{name: shown(c.Actor), repo: "github.com/" + strings.ToLower(c.Repository)}, nil
}

func (c Callers) names(repo string) bool {
	for _, glob := range c.Repos {
		if ok, err := path.Match(strings.ToLower(glob), strings.ToLower(repo)); ok && err == nil && repo != "" {
			return true
		}
	}
	return false
}

// own leaves the jobs as they are where the caller may ask for them.
func (c caller) own(ctx context.Context, q *queue.Queue, jobs []job.Job) ([]job.Job, error) {
	if c.repo == "" {
		return jobs, nil
	}
	for _, j := range jobs {
		mine := j.App == "" && (job.RepoKey(j.Config.Repo) == c.repo || j.Config.Repo == "" && job.RepoKey(j.Half.Repo) == c.repo)
		if j.App != "" {
			e, ok, err := q.Entry(ctx, j.App)
			if err != nil {
				return nil, err
			}
			mine = ok && (job.RepoKey(e.Source.Repo) == c.repo || e.Source.Repo == "" && job.RepoKey(e.Config.Repo) == c.repo)
		}
		if !mine || j.Confirm {
			return nil, fmt.Errorf("%w, %s, and confirms nothing", errNotTheirs, c.repo)
		}
	}
	return jobs, nil
}
