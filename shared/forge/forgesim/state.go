package forgesim

import (
	"encoding/json"
	"maps"
	"time"
)

// State is everything that the simulator holds, as GET /_sim/state shows it. Tokens, secrets of hooks and keys are
// not in it.
type State struct {
	Now   time.Time   `json:"now"`
	Repos []RepoState `json:"repos"`
	// Requests counts what was asked, by route.
	Requests map[string]int `json:"requests"`
	// Tokens is how many tokens of installations are valid.
	Tokens int `json:"installation_tokens"`
}

// RepoState is a repository in State.
type RepoState struct {
	ID            int64             `json:"id"`
	Repo          string            `json:"repo"`
	Private       bool              `json:"private"`
	CloneURL      string            `json:"clone_url"`
	SSHURL        string            `json:"ssh_url"`
	DefaultBranch string            `json:"default_branch"`
	Refs          map[string]string `json:"refs"`
	Hooks         []HookState       `json:"hooks"`
	Statuses      []StatusState     `json:"statuses"`
	Deployments   []DeploymentState `json:"deployments"`
	Comments      []CommentState    `json:"comments"`
	Pulls         []PullState       `json:"pulls"`
}

// HookState is a hook in State. Secret is whether it has one.
type HookState struct {
	ID          int64      `json:"id"`
	URL         string     `json:"url"`
	ContentType string     `json:"content_type"`
	InsecureSSL string     `json:"insecure_ssl"`
	Secret      bool       `json:"secret"`
	Active      bool       `json:"active"`
	Events      []string   `json:"events"`
	Deliveries  []Delivery `json:"deliveries"`
}

// StatusState is a commit status in State, oldest first.
type StatusState struct {
	ID          int64     `json:"id"`
	SHA         string    `json:"sha"`
	State       string    `json:"state"`
	Context     string    `json:"context"`
	Description string    `json:"description"`
	TargetURL   string    `json:"target_url"`
	Creator     string    `json:"creator"`
	At          time.Time `json:"at"`
}

// DeploymentState is a deployment in State, with the states that it went through.
type DeploymentState struct {
	ID          int64           `json:"id"`
	SHA         string          `json:"sha"`
	Ref         string          `json:"ref"`
	Environment string          `json:"environment"`
	Description string          `json:"description"`
	Payload     json.RawMessage `json:"payload"`
	Creator     string          `json:"creator"`
	States      []string        `json:"states"`
	URL         string          `json:"environment_url"`
	LogURL      string          `json:"log_url"`
}

// CommentState is a comment in State.
type CommentState struct {
	ID     int64  `json:"id"`
	Number int64  `json:"number"`
	Body   string `json:"body"`
	User   string `json:"user"`
	// Edited is whether it was changed after it was made.
	Edited bool `json:"edited"`
}

// PullState is a pull request in State.
type PullState struct {
	Number   int64  `json:"number"`
	Title    string `json:"title"`
	State    string `json:"state"`
	Merged   bool   `json:"merged"`
	Head     string `json:"head"`
	HeadRepo string `json:"head_repo"`
	SHA      string `json:"sha"`
	Base     string `json:"base"`
	User     string `json:"user"`
}

// State takes a picture.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{Now: s.now(), Repos: []RepoState{}, Requests: maps.Clone(s.requests)}
	for _, m := range s.minted {
		if s.now().Before(m.expires) {
			out.Tokens++
		}
	}
	for _, r := range s.all() {
		out.Repos = append(out.Repos, s.repoState(r))
	}
	return out
}

// Repo is one repository of the picture; the zero value where it is not there.
func (s State) Repo(full string) RepoState {
	for _, r := range s.Repos {
		if r.Repo == full {
			return r
		}
	}
	return RepoState{}
}

func (s *Server) repoState(r *repo) RepoState {
	out := RepoState{
		ID: r.id, Repo: r.full(), Private: r.private, CloneURL: s.base + "/" + r.full() + ".git", SSHURL: s.sshURL(r), DefaultBranch: s.defaultBranch(r),
		Hooks: []HookState{}, Statuses: []StatusState{}, Deployments: []DeploymentState{}, Comments: []CommentState{}, Pulls: []PullState{},
	}
	out.Refs, _, _ = s.git.Refs(r.full()) // one that cannot be read has none
	for _, h := range r.hooks {
		one := HookState{ID: h.id, URL: h.url, ContentType: h.contentType, InsecureSSL: h.insecure, Secret: h.secret != "", Active: h.active, Events: listed(h.events), Deliveries: []Delivery{}}
		for _, d := range h.deliveries {
			one.Deliveries = append(one.Deliveries, d.public())
		}
		out.Hooks = append(out.Hooks, one)
	}
	for _, t := range r.statuses {
		out.Statuses = append(out.Statuses, StatusState{t.id, t.sha, t.state, t.context, t.description, t.target, t.login, t.at})
	}
	for _, d := range r.deployments {
		out.Deployments = append(out.Deployments, d.picture())
	}
	for _, m := range r.comments {
		out.Comments = append(out.Comments, CommentState{m.id, m.number, m.body, m.by, m.edited})
	}
	for _, p := range r.pulls {
		out.Pulls = append(out.Pulls, PullState{p.number, p.title, p.state, p.merged, p.head, p.from, p.sha, p.base, p.by})
	}
	return out
}

func (d *deployment) picture() DeploymentState {
	out := DeploymentState{ID: d.id, SHA: d.sha, Ref: d.ref, Environment: d.environment, Description: d.description, Payload: d.payload, Creator: d.by, States: []string{}}
	for _, t := range d.states {
		out.States = append(out.States, t.state)
		if t.environmentURL != "" {
			out.URL = t.environmentURL
		}
		if t.log != "" {
			out.LogURL = t.log
		}
	}
	return out
}
