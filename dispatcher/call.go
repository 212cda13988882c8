package dispatcher

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"unicode"

	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Callers are those who may POST /dispatch.
type Callers struct {
	// Tokens are bearer tokens; who has one may ask for everything.
	Tokens []string
	// Workflows checks the tokens of GitHub Actions; nil takes none. A workflow may ask for what a push to its own
	// repository would bring about, where Repos (OWNER/NAME, with * in NAME as in path.Match) names that.
	Workflows *identity.Verifier
	Repos     []string
	// Host is the forge's, as repositories' URLs have it; empty means github.com.
	Host string
}

// CheckRepos says what is wrong with the names of repositories whose workflows may ask.
func CheckRepos(globs []string) error {
	for _, glob := range globs {
		owner, name, ok := strings.Cut(glob, "/")
		_, err := path.Match(glob, "")
		if !ok || owner == "" || name == "" || strings.Contains(name, "/") || strings.ContainsAny(owner, `*?[\`) || err != nil {
			return fmt.Errorf("%s: expected OWNER/NAME or OWNER/*: the owner is named in full, as everybody can be one", inert(glob))
		}
	}
	return nil
}

var (
	// errCaller is somebody who may not ask for anything.
	errCaller = errors.New("the bearer token is neither one of this dispatcher's FLYCD_DISPATCH_TOKENS nor of a workflow whose repository FLYCD_OIDC_REPOS names")
	// errNotTheirs is an ask for something that is none of the caller's business.
	errNotTheirs = errors.New("a workflow may ask for what a push to its own repository would deploy, and confirm nothing")
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
	who, err := s.caller(r)
	if err != nil {
		s.Log.WarnContext(r.Context(), "call refused", "reason", err.Error())
		if errors.Is(err, errCaller) {
			return http.StatusUnauthorized, refused{err.Error()}
		}
		return http.StatusServiceUnavailable, refused{"whose token it is cannot be found out now: try again"}
	}
	a, err := s.readAsk(w, r)
	if err != nil {
		return http.StatusBadRequest, refused{err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), replyWithin)
	defer cancel()
	jobs, err := s.wished(ctx, who, a)
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

func (s *Server) readAsk(w http.ResponseWriter, r *http.Request) (a Ask, err error) {
	body, err := s.small(w, r)
	if err != nil {
		return a, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err = d.Decode(&a); err == nil && d.More() {
		err = errors.New("something follows it")
	}
	if err != nil || !object(body) {
		return a, fmt.Errorf("%w: expected {\"app\": …} or {\"repo\": …, \"ref\": …, \"path\": …}, and force or confirm: %.200s", errAsking, text(err))
	}
	if strings.ContainsFunc(a.App+a.Repo+a.Ref+a.Path, unicode.IsControl) {
		return a, fmt.Errorf("%w: a control character", errAsking)
	}
	return a, nil
}

// caller is who asks; repo is empty for those who may ask for everything.
type caller struct{ name, repo string }

// caller finds out who asks, before the body is read.
func (s *Server) caller(r *http.Request) (caller, error) {
	header := r.Header.Get("Authorization")
	known := false
	for _, token := range s.Callers.Tokens {
		known = bearer(header, token) || known // each is compared, whichever fits
	}
	if known {
		return caller{name: "a dispatch token"}, nil
	}
	raw := token(header)
	if s.Callers.Workflows == nil || identity.Issuer(raw) == "" {
		return caller{}, errCaller
	}
	ctx, cancel := context.WithTimeout(r.Context(), replyWithin)
	defer cancel()
	c, err := s.Callers.Workflows.Verify(ctx, raw)
	switch {
	case errors.Is(err, identity.ErrUntrusted):
		return caller{}, fmt.Errorf("%w: %w", errCaller, err)
	case err != nil:
		return caller{}, err
	case !s.Callers.names(c.Repository) || !ownRef(c):
		return caller{}, fmt.Errorf("%w: it is of %s at %s", errCaller, inert(c.Repository), inert(c.Ref))
	}
	return caller{name: inert(c.Actor), repo: job.RepoKey("https://" + cmp.Or(s.Callers.Host, "github.com") + "/" + c.Repository)}, nil
}

// ownRef reports whether what a workflow runs was decided by somebody who may write to the repository: of a pull
// request's, whoever may open one decides it.
func ownRef(c identity.Claims) bool {
	return c.Event != "pull_request" && (strings.HasPrefix(c.Ref, "refs/heads/") || strings.HasPrefix(c.Ref, "refs/tags/"))
}

func (c Callers) names(repo string) bool {
	if strings.Count(repo, "/") != 1 {
		return false
	}
	for _, glob := range c.Repos {
		if ok, err := path.Match(strings.ToLower(glob), strings.ToLower(repo)); ok && err == nil {
			return true
		}
	}
	return false
}

// wished are the jobs of an ask, as far as the caller may have them made.
func (s *Server) wished(ctx context.Context, who caller, a Ask) ([]job.Job, error) {
	if who.repo == "" {
		return Wished(ctx, s.Queue, a, s.Roots)
	}
	mine := job.RepoKey(a.Repo) == who.repo
	if a.App != "" {
		e, ok, err := s.Queue.Entry(ctx, a.App)
		if err != nil {
			return nil, err
		}
		mine = ok && (job.RepoKey(e.Source.Repo) == who.repo || job.RepoKey(e.Config.Repo) == who.repo)
	}
	if !mine || a.Confirm {
		return nil, fmt.Errorf("%w: %s", errNotTheirs, who.repo)
	}
	jobs, err := a.jobs(ctx, s.Queue, s.Roots)
	if err == nil && len(jobs) == 0 {
		// A repository becomes a config tree by those who have a token, or by another tree: never by itself.
		err = fmt.Errorf("%w: no app and no config tree follows %s there", errNotTheirs, who.repo)
	}
	return a.wishes(jobs), err
}
