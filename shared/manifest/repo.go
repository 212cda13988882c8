package manifest

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// openRepo gives the repository and the folder in it that a project's git source names.
func (r *reader) openRepo(f manifestFile, p Project) (*repository, string, bool) {
	src := p.Source
	dir := strings.TrimPrefix(path.Clean("/"+src.Path), "/")
	if dir == "" {
		dir = "."
	}
	need := RepoRef{Repo: src.Repo, Ref: src.Ref, By: p.Name, Project: true}
	r.tree.Repos = append(r.tree.Repos, need)
	if r.isSelf(src) {
		return r.root, dir, true
	}
	key := repoKey{src.Repo, src.Ref}
	if repo, ok := r.repos[key]; ok {
		return repo, dir, repo != nil
	}
	if r.opts.Repos == nil {
		r.tree.Unread = append(r.tree.Unread, need)
		return nil, "", false
	}
	fsys, err := r.opts.Repos.Open(src.Repo, src.Ref)
	if err != nil {
		r.repos[key] = nil
		r.projectFault(f, "source.repo", fmt.Sprintf("cannot be opened: %v", err))
		return nil, "", false
	}
	repo := &repository{url: src.Repo, ref: src.Ref, fsys: fsys, folders: map[string]*folder{}}
	r.repos[key] = repo
	return repo, dir, true
}

// needBroken lists the repository of a project that is not read, because something else in its file is wrong: a push to
// it concerns the tree all the same, once the file is mended.
func (r *reader) needBroken(w walk, f manifestFile, p Project) {
	src := p.Source
	if src.Type != "git" || src.Repo == "" || keyed(src.Repo) || w.common.refusedRepo(src.Repo) != "" || r.crosses(f, p) && p.Allow == nil {
		return
	}
	r.tree.Repos = append(r.tree.Repos, RepoRef{Repo: src.Repo, Ref: src.Ref, By: p.Name, Project: true})
}

// shown gives the repository's address for a person.
func (repo *repository) shown() string { return shownAddress(repo.url) }

// shownAddress gives an address without a name or token in it.
func shownAddress(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	return scheme + "://" + rest
}

// isSelf reports whether a source is the repository that is being read, at the commit that is being
// read.
func (r *reader) isSelf(src Source) bool {
	return r.opts.Repo != "" && src.Ref == (Ref{}) && sameRepo(src.Repo, r.opts.Repo)
}

// sameRepo compares two spellings of a repository's address: with or without scheme, user, .git and
// slash at the end.
func sameRepo(a, b string) bool { return bareRepo(a) == bareRepo(b) }

// portFirst tells a registry's port from the path of the scp form.
var portFirst = regexp.MustCompile(`^[0-9]{1,5}/`)

func bareRepo(url string) string {
	s := strings.ToLower(strings.TrimSpace(url))
	if _, after, ok := strings.Cut(s, "://"); ok {
		s = after
	} else if host, rest, _ := strings.Cut(s, ":"); strings.Contains(host, "@") || !portFirst.MatchString(rest) {
		s = strings.Replace(s, ":", "/", 1)
	}
	if host, rest, ok := strings.Cut(s, "/"); ok {
		host = host[strings.LastIndex(host, "@")+1:]
		if name, port, ok := strings.Cut(host, ":"); ok && (port == "22" || port == "443" || port == "80") {
			host = name
		}
		s = host + "/" + strings.Trim(rest, "/")
	}
	return strings.TrimSuffix(s, ".git")
}

// keyedText says what to do instead of writing credentials into an address. It does not show the address.
const keyedText = "has a password or token in it, which everyone can read who reads this file; write the address without it, " +
	"make the token invalid, and give the runner a new one (FLYCD_GIT_TOKENS, a deploy key in FLYCD_GIT_KEYS, or a GitHub App)"

// keyed reports whether the address of a repository has credentials in it: all but a plain user name of ssh.
func keyed(repo string) bool {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(repo), "://")
	if !ok {
		user, _, found := strings.Cut(repo, "@")
		return found && strings.ContainsAny(user, ":") && !strings.Contains(user, "/")
	}
	host, within, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(host, "@")
	if strings.HasPrefix(strings.ToLower(scheme), "http") {
		return at >= 0 || strings.Contains(within, "?")
	}
	return at >= 0 && strings.Contains(host[:at], ":")
}

// keyedImage reports whether an image, or the repository of one, has credentials in it.
func keyedImage(ref string) bool {
	user, rest, found := strings.Cut(strings.TrimSpace(ref), "@")
	return found && strings.Contains(rest, "/") && (!strings.Contains(user, "/") || strings.Contains(user, "://"))
}

const keyedImageText = "has a password or token in it, which everyone can read who reads this file; write the image without it, " +
	"make the token invalid, and give the runner a new one (FLYCD_REGISTRY_LOGINS)"
