package forgesim

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/source"
)

// repo is a repository and what the forge knows of it beside its commits.
type repo struct {
	id          int64
	owner, name string
	private     bool
	// members are roles by login in lower case.
	members map[string]string
	// keys are deploy keys in authorized_keys form.
	keys []string
	// told are the refs as they were told of last; pushed is when.
	told   map[string]string
	pushed time.Time

	hooks       []*hook
	statuses    []*status
	deployments []*deployment
	comments    []*comment
	pulls       []*pull
}

func (r *repo) full() string { return r.owner + "/" + r.name }

func (r *repo) key() string { return strings.ToLower(r.full()) }

func (s *Server) repoRoutes() []route {
	return []route{
		{pattern: "GET /repos/{owner}/{repo}", run: func(c *call) answer { return ok(s.repoView(c.repo)) }},
		{pattern: "GET /user/repos", run: s.listRepos},
		{pattern: "GET /users/{owner}/repos", run: s.listRepos},
		{pattern: "GET /orgs/{owner}/repos", run: s.listRepos},
		{pattern: "GET /repos/{owner}/{repo}/commits/{ref}", needs: "contents:read", run: s.showCommit},
		{pattern: "GET /repos/{owner}/{repo}/commits", needs: "contents:read", run: s.listCommits},
		{pattern: "GET /repos/{owner}/{repo}/branches/{ref}", needs: "contents:read", run: s.showBranch},
		{pattern: "GET /repos/{owner}/{repo}/collaborators/{login}", run: s.isMember},
		{pattern: "GET /repos/{owner}/{repo}/collaborators/{login}/permission", run: s.permission},
	}
}

// find gives a repository that is in the folder, noting what it holds when it is first asked for; nil where there is
// none. The caller holds mu.
func (s *Server) find(owner, name string) *repo {
	r := s.discover(owner, name)
	if r != nil && r.told == nil {
		r.told, _, _ = s.git.Refs(r.full()) // one that cannot be read has none
		if r.told == nil {
			r.told = map[string]string{}
		}
	}
	return r
}

// discover gives a repository without noting anything. Forges do not look at the case of names.
func (s *Server) discover(owner, name string) *repo {
	name = strings.TrimSuffix(name, ".git")
	if r := s.repos[strings.ToLower(owner+"/"+name)]; r != nil {
		return r
	}
	for _, full := range s.folders() {
		if strings.EqualFold(full, owner+"/"+name) {
			o, n, _ := strings.Cut(full, "/")
			r := &repo{id: s.id(), owner: o, name: n, private: !s.opts.Public, members: map[string]string{}, pushed: s.now()}
			s.repos[r.key()] = r
			return r
		}
	}
	return nil
}

// folders are the full names of the repositories on disk.
func (s *Server) folders() []string {
	found, _ := filepath.Glob(filepath.Join(s.opts.Dir, "*", "*.git")) // the pattern is none of the bad ones
	var out []string
	for _, dir := range found {
		if info, err := os.Stat(filepath.Join(dir, "objects")); err != nil || !info.IsDir() {
			continue
		}
		rel, err := filepath.Rel(s.opts.Dir, dir)
		if err == nil {
			out = append(out, strings.TrimSuffix(filepath.ToSlash(rel), ".git"))
		}
	}
	return out
}

// all repositories by name; the caller holds mu.
func (s *Server) all() []*repo {
	var out []*repo
	for _, full := range s.folders() {
		owner, name, _ := strings.Cut(full, "/")
		out = append(out, s.discover(owner, name))
	}
	slices.SortFunc(out, func(a, b *repo) int { return cmp.Compare(a.key(), b.key()) })
	return out
}

func (s *Server) numbered(id int64) *repo {
	for _, r := range s.repos {
		if r.id == id {
			return r
		}
	}
	return nil
}

func (s *Server) kindOf(login string) string {
	if slices.ContainsFunc(s.opts.Orgs, func(o string) bool { return strings.EqualFold(o, login) }) {
		return "Organization"
	}
	return "User"
}

func (s *Server) userView(login string) obj {
	kind := s.kindOf(login)
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	var id uint32
	for _, b := range []byte(strings.ToLower(login)) {
		id = id*31 + uint32(b)
	}
	return obj{"login": login, "id": id, "type": kind, "url": s.base + "/users/" + login, "html_url": s.base + "/" + login, "site_admin": false}
}

func (s *Server) repoView(r *repo) obj {
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	return obj{
		"id": r.id, "name": r.name, "full_name": r.full(), "private": r.private, "visibility": visibility, "fork": false,
		"owner": s.userView(r.owner), "html_url": s.base + "/" + r.full(), "url": s.base + "/repos/" + r.full(),
		"clone_url": s.base + "/" + r.full() + ".git", "ssh_url": s.sshURL(r), "git_url": "git://" + strings.TrimPrefix(s.base, "http://") + "/" + r.full() + ".git",
		"default_branch": s.defaultBranch(r), "archived": false, "disabled": false, "pushed_at": r.pushed,
		"permissions": map[string]bool{"admin": true, "push": true, "pull": true},
	}
}

func (s *Server) defaultBranch(r *repo) string {
	_, head, err := s.git.Refs(r.full())
	if err != nil || head == "" {
		return "main"
	}
	return strings.TrimPrefix(head, "refs/heads/")
}

func (s *Server) listRepos(c *call) answer {
	list := []obj{}
	for _, r := range s.all() {
		if owner := c.r.PathValue("owner"); owner != "" && !strings.EqualFold(owner, r.owner) {
			continue
		}
		if s.sees(c.who, r) {
			list = append(list, s.repoView(r))
		}
	}
	return paged(s, c, list)
}

// commit finds what a ref, a branch, a tag or a hash stands for; empty where it is not there.
func (s *Server) commit(r *repo, ref string) string {
	refs, head, err := s.git.Refs(r.full())
	if err != nil {
		return ""
	}
	if ref == "HEAD" {
		ref = head
	}
	for _, name := range []string{ref, "refs/heads/" + ref, "refs/tags/" + ref, "refs/" + ref} {
		if hash := refs[name]; hash != "" {
			return hash
		}
	}
	if len(ref) != 40 {
		return ""
	}
	if _, err := s.git.History(r.full(), ref, "", 1); err != nil {
		return ""
	}
	return strings.ToLower(ref)
}

func (s *Server) showCommit(c *call) answer {
	hash := s.commit(c.repo, c.r.PathValue("ref"))
	made, err := s.git.History(c.repo.full(), hash, "", 1)
	if err != nil || len(made) == 0 {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.r.PathValue("ref"))
	}
	if c.r.Header.Get("Accept") == "application/vnd.github.v3.sha" {
		return answer{status: http.StatusOK, body: hash}
	}
	return ok(s.commitView(c.repo, made[0]))
}

func (s *Server) commitView(r *repo, m source.Made) obj {
	who := obj{"name": m.Author, "email": m.Email, "date": m.Time}
	parents := []obj{}
	for _, p := range m.Parents {
		parents = append(parents, obj{"sha": p})
	}
	files := []obj{}
	for kind, names := range map[string][]string{"added": m.Added, "removed": m.Removed, "modified": m.Modified} {
		for _, name := range names {
			files = append(files, obj{"filename": name, "status": kind})
		}
	}
	return obj{
		"sha": m.Hash, "commit": obj{"message": m.Message, "author": who, "committer": who}, "parents": parents, "files": files,
		"html_url": fmt.Sprintf("%s/%s/commit/%s", s.base, r.full(), m.Hash), "author": s.userView(m.Author),
	}
}

func (s *Server) listCommits(c *call) answer {
	hash := s.commit(c.repo, cmp.Or(c.r.URL.Query().Get("sha"), "HEAD"))
	made, err := s.git.History(c.repo.full(), hash, "", 1000)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(http.StatusConflict, "Git Repository is empty.")
	}
	if err != nil {
		return fail(http.StatusInternalServerError, err.Error())
	}
	list := []obj{}
	for _, m := range made {
		list = append(list, s.commitView(c.repo, m))
	}
	return paged(s, c, list)
}

func (s *Server) showBranch(c *call) answer {
	refs, _, err := s.git.Refs(c.repo.full())
	hash := refs["refs/heads/"+c.r.PathValue("ref")]
	if err != nil || hash == "" {
		return fail(http.StatusNotFound, "Branch not found")
	}
	return ok(obj{"name": c.r.PathValue("ref"), "commit": obj{"sha": hash}, "protected": false})
}

// role is what somebody may do in a repository: what was said of them, else everything for the owner and for
// people who have a token that reaches it, else what anybody may.
func (s *Server) role(r *repo, login string) string {
	if role, found := r.members[strings.ToLower(login)]; found {
		return role
	}
	if strings.EqualFold(login, r.owner) {
		return "admin"
	}
	for _, t := range s.opts.Tokens {
		if strings.EqualFold(cmp.Or(t.Login, "somebody"), login) && t.reaches(r) {
			return "admin"
		}
	}
	if r.private {
		return "none"
	}
	return "read"
}

func (s *Server) isMember(c *call) answer {
	role, said := c.repo.members[strings.ToLower(c.r.PathValue("login"))]
	if said && role != "none" || !said && s.role(c.repo, c.r.PathValue("login")) == "admin" {
		return empty()
	}
	return notFound()
}

func (s *Server) permission(c *call) answer {
	login := c.r.PathValue("login")
	role := s.role(c.repo, login)
	coarse := role
	switch role {
	case "maintain":
		coarse = "write"
	case "triage":
		coarse = "read"
	}
	return ok(obj{"permission": coarse, "role_name": role, "user": s.userView(login)})
}
