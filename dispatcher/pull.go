package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/job"
)

// asked is what a comment at a pull request says, in its first line, to have a plan made.
const asked = "/flycd plan"

// Forge answers what a delivery does not say.
type Forge interface {
	// Permission reports whether a person may write to the repository.
	Permission(ctx context.Context, repo, user string) (bool, error)
	// Pull looks up a pull request.
	Pull(ctx context.Context, repo string, number int) (forge.Pull, error)
}

// pullEvent is the part of GitHub's pull_request and issue_comment events that is read.
type pullEvent struct {
	Action     string `json:"action"`
	Number     int    `json:"number"`
	Repository struct {
		CloneURL      string `json:"clone_url"`
		DefaultBranch string `json:"default_branch"`
	} `json:"repository"`
	PullRequest struct {
		UpdatedAt time.Time `json:"updated_at"`
		Head      pullSide  `json:"head"`
		Base      pullSide  `json:"base"`
	} `json:"pull_request"`
	Issue struct {
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	Comment struct {
		ID   int64  `json:"id"`
		Body string `json:"body"`
	} `json:"comment"`
	Sender struct {
		Login string `json:"login"`
	} `json:"sender"`
}

type pullSide struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo struct {
		CloneURL string `json:"clone_url"`
	} `json:"repo"`
}

// wantedPlan is a pull request whose plan is to be made.
type wantedPlan struct {
	forge.Pull
	repo, defaultBranch string
	number              int
	actor               string
	// ask is the id of the comment that asked for the plan; then the rest has to be looked up.
	ask int64
	// time is the forge's, in Unix milliseconds; zero is that of the arrival.
	time int64
}

// pulled reads an event about a pull request: the plan that it wants, or why it wants none.
func pulled(name string, payload []byte) (*wantedPlan, string, error) {
	var p pullEvent
	if err := json.Unmarshal(payload, &p); err != nil || !object(payload) {
		return nil, "", fmt.Errorf("%w: read %s event: it is no such JSON object", errNotUnderstood, name)
	}
	w := &wantedPlan{repo: p.Repository.CloneURL, defaultBranch: p.Repository.DefaultBranch, number: p.Number, actor: p.Sender.Login}
	if name == "issue_comment" {
		if ignored := p.commented(); ignored != "" {
			return nil, ignored, nil
		}
		w.number, w.ask = p.Issue.Number, p.Comment.ID
		return w, "", w.check()
	}
	switch p.Action {
	case "opened", "synchronize", "reopened", "ready_for_review":
	default:
		return nil, "a pull request was " + inert(p.Action) + ": there is nothing to plan", nil
	}
	pr := p.PullRequest
	w.Pull = forge.Pull{Head: pr.Head.SHA, Base: pr.Base.Ref, Fork: job.RepoKey(pr.Head.Repo.CloneURL) != job.RepoKey(w.repo)}
	if !pr.UpdatedAt.IsZero() {
		w.time = pr.UpdatedAt.UnixMilli()
	}
	if err := w.check(); err != nil {
		return nil, "", err
	}
	if !w.whole() {
		return nil, "", fmt.Errorf("%w: pull_request.head.sha and base.ref are missing", errNotUnderstood)
	}
	if w.Fork {
		return nil, "the pull request comes from a fork: somebody who may write to the repository comments " + asked + " to have its plan made", nil
	}
	return w, "", nil
}

// commented says why a comment asks for nothing.
func (p pullEvent) commented() string {
	line, _, _ := strings.Cut(strings.TrimSpace(p.Comment.Body), "\n")
	switch {
	case p.Action != "created" || p.Issue.PullRequest == nil:
		return "only new comments at pull requests are read"
	case strings.TrimSpace(line) != asked:
		return "the comment does not say " + asked
	}
	return ""
}

func (w *wantedPlan) check() error {
	switch {
	case w.repo == "" || strings.ContainsAny(w.repo, "\x00\n\r"):
		return fmt.Errorf("%w: repository.clone_url is missing", errNotUnderstood)
	case w.number < 1:
		return fmt.Errorf("%w: the number of the pull request is missing", errNotUnderstood)
	}
	return nil
}

// whole reports whether there is a head that can be planned, and a branch that it is for.
func (w *wantedPlan) whole() bool {
	return commit(w.Head) && w.Base != "" && !strings.ContainsAny(w.Base, "\x00\n\r")
}

// plans makes the jobs that plan a pull request: one for each config tree that follows the branch which it is to be
// merged into.
func (s *Server) plans(ctx context.Context, e event) (jobs []job.Job, ignored string, err error) {
	w := *e.plan
	if w.ask != 0 {
		if ignored, err := s.allowed(ctx, &w); ignored != "" || err != nil {
			return nil, ignored, err
		}
	}
	p := catalog.Push{Repo: w.repo, Ref: "refs/heads/" + w.Base, DefaultBranch: w.defaultBranch}
	routes, more, err := s.Queue.Routes(ctx, p, catalog.MaxApps)
	if err != nil {
		return nil, "", err
	}
	found, _ := catalog.Jobs(p, catalog.Found{Routes: routes, More: more, Roots: s.Roots}, s.now())
	for _, j := range found {
		if j.Kind == job.Sync && job.RepoKey(j.Config.Repo) == job.RepoKey(w.repo) {
			jobs = append(jobs, w.job(j.Config, e.guid, s.now()))
		}
	}
	if len(jobs) == 0 {
		ignored = fmt.Sprintf("no config tree follows %s of %s: there is nothing to plan", w.Base, job.RepoKey(w.repo))
	}
	return jobs, ignored, nil
}

// allowed asks the forge whether who commented may have a plan made, and what is to be planned. What a person has to
// mend first is no failure of the delivery: it says so, and sending it again would not help.
func (s *Server) allowed(ctx context.Context, w *wantedPlan) (ignored string, err error) {
	if s.Forge == nil {
		return "comments are not read: the dispatcher has no credentials of the forge (FLYCD_GITHUB_TOKEN)", nil
	}
	may, err := s.Forge.Permission(ctx, w.repo, w.actor)
	if err == nil && !may {
		return "a plan is made for those who may write to the repository, and " + inert(w.actor) + " may not", nil
	}
	if err == nil {
		w.Pull, err = s.Forge.Pull(ctx, w.repo, w.number)
	}
	switch {
	case errors.Is(err, forge.ErrDenied) || errors.Is(err, job.ErrRejected):
		return "the forge does not let the dispatcher look: " + err.Error(), nil
	case err == nil && !w.whole():
		return fmt.Sprintf("pull request %d of %s has no head that can be planned", w.number, job.RepoKey(w.repo)), nil
	}
	return "", err
}

func (w wantedPlan) job(tree job.Config, delivery string, now time.Time) job.Job {
	j := job.Job{
		Kind: job.Plan, Config: tree, Pull: w.number, Untrusted: w.Fork, Reason: job.ByPull,
		Half:     job.Half{Side: job.ConfigSide, Repo: w.repo, Ref: "refs/pull/" + strconv.Itoa(w.number) + "/head", Commit: w.Head},
		Order:    job.Order{Time: w.time, After: w.Head},
		Delivery: delivery, Actor: w.actor, Created: now.UTC(),
	}
	j.ID = job.Push{
		Kind: j.Kind, Subject: j.Subject(), Repo: w.repo, Ref: j.Half.Ref, Before: strconv.FormatInt(w.ask, 10), After: w.Head, Time: w.time,
	}.ID()
	return j
}
