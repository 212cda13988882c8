package forgesim

import (
	"net/http"
	"strings"
)

// isGit reports whether a request speaks git's smart HTTP.
func isGit(r *http.Request) bool {
	_, _, found := gitPath(r.URL.Path)
	return found
}

// gitPath takes a path apart: the repository and what git does with it.
func gitPath(path string) (full, action string, found bool) {
	for _, suffix := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		if rest, is := strings.CutSuffix(path, suffix); is && strings.Count(rest, "/") == 2 {
			return strings.TrimSuffix(rest[1:], ".git"), suffix, true
		}
	}
	return "", "", false
}

// serveGit answers git, for those whose token opens the repository.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	full, action, _ := gitPath(r.URL.Path)
	writing := action == "/git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack"
	owner, name, _ := strings.Cut(full, "/")
	s.mu.Lock()
	s.requests["git"+action]++
	repo, status, why := s.opens(r, owner, name, writing)
	pushed := status == 0 && action == "/git-receive-pack"
	if pushed {
		s.flying++
	}
	s.mu.Unlock()
	if status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		}
		http.Error(w, why, status)
		return
	}
	if pushed {
		defer func() { go s.pushedOver(repo.full(), r) }()
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = "/"+repo.full()+".git"+action, ""
	s.git.ServeHTTP(w, inner)
}

// opens finds the repository and says what is answered to those who may not have it.
func (s *Server) opens(r *http.Request, owner, name string, writing bool) (*repo, int, string) {
	who, _, refused := s.identify(r)
	if refused || who.app != nil {
		return nil, http.StatusUnauthorized, "Invalid username or token. Password authentication is not supported for Git operations."
	}
	found := s.find(owner, name)
	sees := found != nil && s.sees(who, found)
	needs := "contents:read"
	if writing {
		needs = "contents:write"
	}
	switch {
	case sees && who.may(needs, !found.private) && (!writing || who.reaches(found)):
		return found, 0, ""
	case who.login == "":
		return nil, http.StatusUnauthorized, "Repository not found."
	case !sees:
		return nil, http.StatusNotFound, "Repository not found."
	case writing:
		return nil, http.StatusForbidden, "Permission to " + found.full() + ".git denied to " + who.login + "."
	}
	return nil, http.StatusForbidden, "Write access to repository not granted."
}
