package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// maxAsked bounds the body of POST /grant and POST /dispatch.
	maxAsked = 64 << 10
	// grantWithin bounds one grant: what Fly and the forge are asked for it.
	grantWithin = 15 * time.Second
)

// Granter makes the Fly token of a job.
type Granter interface {
	// GrantFor narrows a token to what the job needs, until a time. What no attempt can cure wraps job.ErrRejected.
	GrantFor(ctx context.Context, j job.Job, e *catalog.Entry, until time.Time) (string, error)
}

// Minter makes tokens that open single repositories.
type Minter interface {
	// Known reports whether a repository is one that tokens can be made for.
	Known(repo string) bool
	Mint(ctx context.Context, repo string, why forge.Purpose) (forge.Token, error)
}

// Grants says how runners are given what their jobs need.
type Grants struct {
	// Fly makes their tokens.
	Fly Granter
	// Git makes tokens for their repositories; nil makes none.
	Git Minter
	// TicketKey is the key of launch.Ticket.
	TicketKey []byte
	// Machines checks the tokens that machines have of Fly; where it is set, no ticket does. RunnerApp is the app that
	// they must be machines of.
	Machines  *identity.Verifier
	RunnerApp string
}

var (
	// errStranger is somebody who is not the machine that a job was launched on.
	errStranger = errors.New("the caller does not prove that it is the machine of this job's attempt")
	// errAsking is a request that is not understood.
	errAsking = errors.New("the request is not understood")
)

// grant lets the machine of a job have what the job needs, once it has proven which one it is.
func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	if s.Grants == nil {
		answer(w, http.StatusNotFound, refused{"this dispatcher makes no grants: FLYCD_MINT_TOKEN is not set, and runners have what their app's secrets hold"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), grantWithin)
	defer cancel()
	asking, err := s.readAsking(w, r)
	if err == nil {
		err = s.proven(ctx, r, asking)
	}
	var g launch.Grant
	if err == nil {
		g, err = s.granted(ctx, asking)
	}
	if err != nil {
		status, said := notGranted(err)
		s.Log.WarnContext(ctx, "not granted", "job", short(string(asking.Job)), "attempt", asking.Attempt, "machine", short(asking.Machine), "status", status, "reason", err.Error())
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		answer(w, status, said)
		return
	}
	s.Log.InfoContext(ctx, "granted", "job", string(asking.Job), "attempt", asking.Attempt, "machine", asking.Machine, "repositories", len(g.Git))
	answer(w, http.StatusOK, g)
	s.report(r.Context())
}

// notGranted is the answer to an asking that got nothing.
func notGranted(err error) (int, refused) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, errStranger):
		status = http.StatusUnauthorized
	case errors.Is(err, errAsking):
		status = http.StatusBadRequest
	case errors.Is(err, queue.ErrRefused):
		status = http.StatusConflict
	case errors.Is(err, job.ErrRejected):
		status = http.StatusUnprocessableEntity
	default:
		// The error may name addresses, and who asks need not be proven yet.
		return status, refused{"what the job needs cannot be had now, the dispatcher's log says why: ask again"}
	}
	return status, refused{err.Error()}
}

func (s *Server) readAsking(w http.ResponseWriter, r *http.Request) (a launch.Asking, err error) {
	body, err := s.small(w, r)
	if err != nil {
		return a, err
	}
	if json.Unmarshal(body, &a) != nil || a.Attempt < 1 || a.Job == "" || a.Machine == "" {
		return a, fmt.Errorf("%w: expected {\"job\", \"attempt\", \"machine\", \"ticket\"}", errAsking)
	}
	return a, nil
}

// small reads a body that is asked for something: at most maxAsked, within BodyWithin.
func (s *Server) small(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(positive(s.BodyWithin, defaultBodyWithin)))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAsked))
	if err != nil {
		return nil, fmt.Errorf("%w: the body is longer than %d bytes, or did not come whole", errAsking, maxAsked)
	}
	return body, nil
}

// proven checks that the caller is the machine that was launched for the attempt: Fly says so, or, where Fly is not
// asked, its ticket does. Were the ticket enough beside Fly's word, that word would prove nothing.
func (s *Server) proven(ctx context.Context, r *http.Request, a launch.Asking) error {
	if s.Grants.Machines == nil {
		if err := launch.CheckTicket(s.Grants.TicketKey, a, s.now()); err != nil {
			return fmt.Errorf("%w: %w", errStranger, err)
		}
		return nil
	}
	raw := token(r.Header.Get("Authorization"))
	if raw == "" {
		return fmt.Errorf("%w: this dispatcher asks for the machine's OIDC token (FLYCD_FLY_ISSUER is set), and none came", errStranger)
	}
	c, err := s.Grants.Machines.Verify(ctx, raw)
	switch {
	case errors.Is(err, identity.ErrUntrusted):
		return fmt.Errorf("%w: %w", errStranger, err)
	case err != nil:
		return err
	case c.App != s.Grants.RunnerApp || c.Machine != a.Machine || c.MachineName != launch.Name(a.Job, a.Attempt):
		return fmt.Errorf("%w: Fly says that it is another one", errStranger)
	}
	return nil
}

// granted binds the attempt to the machine, and makes what its job needs.
func (s *Server) granted(ctx context.Context, a launch.Asking) (launch.Grant, error) {
	q, err := s.Queue.Grant(ctx, a.Job, a.Attempt, a.Machine)
	if err != nil {
		return launch.Grant{}, err
	}
	g := launch.Grant{Expires: q.Deadline}
	if g.FlyToken, err = s.Grants.Fly.GrantFor(ctx, q.Job, q.Entry, q.Deadline); err != nil {
		return launch.Grant{}, err
	}
	if s.Grants.Git == nil {
		return g, nil
	}
	for _, repo := range reposOf(q) {
		if !s.Grants.Git.Known(repo) {
			continue
		}
		t, err := s.Grants.Git.Mint(ctx, repo, forge.ForReading)
		if errors.Is(err, forge.ErrDenied) || errors.Is(err, job.ErrRejected) {
			// Where the app is not installed the repository may be open to everybody: cloning it tells.
			s.Log.WarnContext(ctx, "no git token", "repo", job.RepoKey(repo), "reason", err.Error())
			continue
		}
		if err != nil {
			return launch.Grant{}, err
		}
		if t.Expires.Before(g.Expires) && !t.Expires.IsZero() {
			g.Expires = t.Expires
		}
		g.Git = append(g.Git, launch.GitCredential{Repo: repo, Username: "x-access-token", Password: t.Value})
	}
	return g, nil
}

// reposOf are the repositories that a job reads, as far as that is known before it runs: a sync may find more, and
// what comes from a fork reads nothing but the repository that it was made for.
func reposOf(g queue.Granted) []string {
	repos := []string{g.Job.Config.Repo, g.Job.Half.Repo}
	if !g.Job.Untrusted {
		for _, in := range g.Includes {
			repos = append(repos, in.Repo)
		}
		if g.Entry != nil {
			repos = append(repos, g.Entry.Source.Repo, g.Entry.Config.Repo)
		}
	}
	var out []string
	for _, repo := range repos {
		if repo != "" && !slices.ContainsFunc(out, func(o string) bool { return job.RepoKey(o) == job.RepoKey(repo) }) {
			out = append(out, repo)
		}
	}
	return out
}
