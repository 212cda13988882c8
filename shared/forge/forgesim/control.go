package forgesim

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/source"
)

// controls are the simulator's own endpoints.
func (s *Server) controls() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/state", func(w http.ResponseWriter, _ *http.Request) { write(w, ok(s.State())) })
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { write(w, s.getFaults()) })
	mux.HandleFunc("PUT /_sim/faults", func(w http.ResponseWriter, r *http.Request) {
		var raw json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
			write(w, fail(http.StatusBadRequest, err.Error()))
			return
		}
		list, err := ParseFaults(raw)
		if err == nil {
			err = s.SetFaults(list...)
		}
		if err != nil {
			write(w, fail(http.StatusBadRequest, err.Error()))
			return
		}
		write(w, ok(obj{"ok": true}))
	})
	on(mux, "POST /_sim/clock", s.postClock)
	on(mux, "POST /_sim/wait", func(context.Context, struct{}) (any, error) {
		s.Wait()
		return obj{"ok": true}, nil
	})
	on(mux, "PUT /_sim/repos", s.putRepo)
	on(mux, "POST /_sim/commit", s.postCommit)
	on(mux, "POST /_sim/push", func(ctx context.Context, in Pushed) (any, error) { return s.Push(ctx, in) })
	on(mux, "PUT /_sim/refs", func(_ context.Context, in struct {
		Repo, Ref, Commit string
	},
	) (any, error) {
		return obj{"ok": true}, s.SetRef(in.Repo, in.Ref, in.Commit)
	})
	on(mux, "POST /_sim/pulls", s.postPull)
	on(mux, "PUT /_sim/pulls", s.putPull)
	on(mux, "POST /_sim/comments", s.postComment)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, fail(http.StatusNotFound, fmt.Sprintf("no such endpoint of the simulator: %s %s", r.Method, r.URL.Path)))
	})
	return mux
}

// on serves an endpoint that takes one JSON object, whose keys it knows, and answers another.
func on[T any](mux *http.ServeMux, pattern string, run func(context.Context, T) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in T
		if r.ContentLength != 0 {
			dec := json.NewDecoder(r.Body)
			dec.DisallowUnknownFields()
			if err := dec.Decode(&in); err != nil {
				write(w, fail(http.StatusBadRequest, err.Error()))
				return
			}
		}
		out, err := run(r.Context(), in)
		if err != nil {
			write(w, fail(http.StatusBadRequest, err.Error()))
			return
		}
		write(w, ok(out))
	})
}

func (s *Server) getFaults() answer {
	return ok(s.faults.States())
}

func (s *Server) postClock(_ context.Context, in struct {
	Advance string `json:"advance"`
},
) (any, error) {
	d, err := time.ParseDuration(in.Advance)
	if err != nil {
		return nil, err
	}
	s.Advance(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	return obj{"now": s.now()}, nil
}

// Repo is what is said of a repository. What is nil stays.
type Repo struct {
	// Repo is OWNER/NAME.
	Repo    string `json:"repo"`
	Private *bool  `json:"private,omitempty"`
	// Members are roles by login: none, read, triage, write, maintain, admin.
	Members map[string]string `json:"members,omitempty"`
	// DeployKeys are public keys as in authorized_keys, that may read.
	DeployKeys []string `json:"deploy_keys,omitempty"`
}

// SetRepo makes a repository where it is not there, and sets what is named. It gives the URL to clone.
func (s *Server) SetRepo(in Repo) (cloneURL string, err error) {
	owner, name, _ := strings.Cut(in.Repo, "/")
	if owner == "" || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("repository %q: expected OWNER/NAME", in.Repo)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.discover(owner, name)
	if r == nil {
		if err := s.git.Init(in.Repo); err != nil {
			return "", err
		}
		if r = s.discover(owner, name); r == nil {
			return "", fmt.Errorf("repository %s: %w", in.Repo, fs.ErrNotExist)
		}
	}
	if in.Private != nil {
		r.private = *in.Private
	}
	for login, role := range in.Members {
		if !slices.Contains([]string{"none", "read", "triage", "write", "maintain", "admin"}, role) {
			return "", fmt.Errorf("role %q of %s: expected none, read, triage, write, maintain or admin", role, login)
		}
		r.members[strings.ToLower(login)] = role
	}
	if in.DeployKeys != nil {
		r.keys = in.DeployKeys
	}
	return s.base + "/" + r.full() + ".git", nil
}

func (s *Server) putRepo(_ context.Context, in Repo) (any, error) {
	cloneURL, err := s.SetRepo(in)
	return obj{"clone_url": cloneURL}, err
}

// Commit is a commit to be made on a branch.
type Commit struct {
	Repo    string `json:"repo"`
	Branch  string `json:"branch"`
	Message string `json:"message"`
	// Files are texts by path; an empty text removes the file.
	Files map[string]string `json:"files"`
	// Push tells of it at once, in the name of Sender.
	Push   bool   `json:"push"`
	Sender string `json:"sender"`
}

// Commit makes a commit, and pushes it where that is asked for.
func (s *Server) Commit(ctx context.Context, in Commit) (source.Change, []Delivery, error) {
	s.pushes.Lock()
	change, err := s.git.Commit(in.Repo, source.Edit{Branch: in.Branch, Message: in.Message, Author: in.Sender, Files: in.Files})
	s.pushes.Unlock()
	if err != nil || !in.Push {
		return change, nil, err
	}
	list, err := s.Push(ctx, Pushed{Repo: in.Repo, Sender: in.Sender})
	return change, list, err
}

func (s *Server) postCommit(ctx context.Context, in Commit) (any, error) {
	change, list, err := s.Commit(ctx, in)
	return obj{"before": change.Before, "after": change.After, "deliveries": listed(list)}, err
}

// named gives a repository that must be there; the caller holds mu.
func (s *Server) named(full string) (*repo, error) {
	owner, name, _ := strings.Cut(full, "/")
	if r := s.find(owner, name); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("there is no repository %q", full)
}

// SetRef moves a branch or tag by its full name, or removes it where the commit is empty. It tells nobody: Push
// does.
func (s *Server) SetRef(full, ref, commit string) error {
	s.pushes.Lock()
	defer s.pushes.Unlock()
	return s.git.SetRef(full, ref, commit)
}
