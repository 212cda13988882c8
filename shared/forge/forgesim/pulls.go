package forgesim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pull is a pull request.
type pull struct {
	number                       int64
	title, body, by, state, base string
	// head is the branch, from the repository that it is in.
	head, from string
	sha        string
	merged     bool
	at         time.Time
}

func (s *Server) pullRoutes() []route {
	const all = "/repos/{owner}/{repo}/pulls"
	return []route{
		{pattern: "GET " + all, needs: "pull_requests:read", run: s.listPulls},
		{pattern: "POST " + all, needs: "pull_requests:write", run: s.createPull},
		{pattern: "GET " + all + "/{number}", needs: "pull_requests:read", run: s.showPull},
		{pattern: "GET /repos/{owner}/{repo}/commits/{ref}/pulls", needs: "pull_requests:read", run: s.pullsOfCommit},
	}
}

func (r *repo) pull(number int64) *pull {
	for _, p := range r.pulls {
		if p.number == number {
			return p
		}
	}
	return nil
}

func (s *Server) pullURL(r *repo, p *pull) string {
	return fmt.Sprintf("%s/repos/%s/pulls/%d", s.base, r.full(), p.number)
}

func (s *Server) pullHTML(r *repo, p *pull) string {
	return fmt.Sprintf("%s/%s/pull/%d", s.base, r.full(), p.number)
}

func (s *Server) pullView(r *repo, p *pull) obj {
	owner, name, _ := strings.Cut(p.from, "/")
	var from any
	if fork := s.discover(owner, name); fork != nil {
		v := s.repoView(fork)
		v["fork"] = fork != r
		from = v
	}
	return obj{
		"number": p.number, "id": p.number, "title": p.title, "body": p.body, "state": p.state, "merged": p.merged, "user": s.userView(p.by), "draft": false,
		"url": s.pullURL(r, p), "html_url": s.pullHTML(r, p), "created_at": p.at, "updated_at": p.at,
		"head": obj{"ref": p.head, "sha": p.sha, "label": owner + ":" + p.head, "repo": from, "user": s.userView(owner)},
		"base": obj{"ref": p.base, "sha": s.commit(r, "refs/heads/"+p.base), "label": r.owner + ":" + p.base, "repo": s.repoView(r), "user": s.userView(r.owner)},
	}
}

func (s *Server) listPulls(c *call) answer {
	q := c.r.URL.Query()
	state := cmp.Or(q.Get("state"), "open")
	list := []obj{}
	for _, p := range c.repo.pulls {
		owner, _, _ := strings.Cut(p.from, "/")
		if state != "all" && state != p.state || q.Get("base") != "" && q.Get("base") != p.base || q.Get("head") != "" && q.Get("head") != owner+":"+p.head {
			continue
		}
		list = append(list, s.pullView(c.repo, p))
	}
	return paged(s, c, list)
}

func (s *Server) showPull(c *call) answer {
	p := c.repo.pull(c.number("number"))
	if p == nil {
		return notFound()
	}
	return ok(s.pullView(c.repo, p))
}

func (s *Server) pullsOfCommit(c *call) answer {
	sha := s.commit(c.repo, c.r.PathValue("ref"))
	list := []obj{}
	for _, p := range c.repo.pulls {
		if p.sha == sha {
			list = append(list, s.pullView(c.repo, p))
		}
	}
	return paged(s, c, list)
}

func (s *Server) createPull(c *call) answer {
	var in Pull
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if owner, branch, found := strings.Cut(in.Head, ":"); found {
		in.Head = branch
		if in.HeadRepo == "" && !strings.EqualFold(owner, c.repo.owner) {
			in.HeadRepo = c.repo.name
		}
		if in.HeadRepo != "" {
			in.HeadRepo = owner + "/" + in.HeadRepo
		}
	}
	in.User = c.who.login
	p, _, err := s.openPull(c.repo, in)
	if err != nil {
		return invalid("PullRequest", "head", err.Error())
	}
	return created(s.pullView(c.repo, p))
}

// openPull opens a pull request and tells of it. The caller holds mu.
func (s *Server) openPull(r *repo, in Pull) (*pull, []*delivery, error) {
	from := r
	if in.HeadRepo != "" {
		owner, name, _ := strings.Cut(in.HeadRepo, "/")
		if from = s.find(owner, name); from == nil {
			return nil, nil, fmt.Errorf("there is no repository %s", in.HeadRepo)
		}
	}
	sha := s.commit(from, "refs/heads/"+in.Head)
	if in.Head == "" || sha == "" {
		return nil, nil, fmt.Errorf("there is no branch %q in %s", in.Head, from.full())
	}
	for _, p := range r.pulls {
		if p.state == "open" && p.from == from.full() && p.head == in.Head {
			return nil, nil, fmt.Errorf("a pull request already exists for %s:%s", from.owner, in.Head)
		}
	}
	p := &pull{
		number: int64(len(r.pulls)) + 1, title: cmp.Or(in.Title, "change"), body: in.Body, by: cmp.Or(in.User, from.owner), state: "open",
		base: cmp.Or(in.Base, s.defaultBranch(r)), head: in.Head, from: from.full(), sha: sha, at: s.now(),
	}
	if err := s.showHead(r, p); err != nil {
		return nil, nil, err
	}
	r.pulls = append(r.pulls, p)
	return p, s.tellOfPull(r, p, "opened", nil), nil
}

// showHead makes the head of a pull request readable in the repository that it is for, as refs/pull/N/head.
func (s *Server) showHead(r *repo, p *pull) error {
	if p.from != r.full() {
		objects := func(full string) string { return filepath.Join(s.opts.Dir, filepath.FromSlash(full)+".git", "objects") }
		if err := copyMissing(objects(p.from), objects(r.full())); err != nil {
			return fmt.Errorf("copy objects of %s: %w", p.from, err)
		}
	}
	ref := fmt.Sprintf("refs/pull/%d/head", p.number)
	r.told[ref] = p.sha // nobody pushes it
	return s.git.SetRef(r.full(), ref, p.sha)
}

// copyMissing copies the files that are not there yet.
func copyMissing(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o750)
		}
		return copyFile(name, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from) //nolint:gosec // a file of a repository that the simulator serves
	if err != nil {
		return err
	}
	defer in.Close()                                                      //nolint:errcheck // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o440) //nolint:gosec // a file of a repository that the simulator serves
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func (s *Server) tellOfPull(r *repo, p *pull, action string, more obj) []*delivery {
	payload := obj{
		"action": action, "number": p.number, "pull_request": s.pullView(r, p), "repository": s.repoView(r), "sender": s.userView(p.by),
	}
	for k, v := range more {
		payload[k] = v
	}
	return s.tell(r, notice{event: "pull_request", action: action, payload: payload})
}

// synchronize tells of the open pull requests whose branch has moved.
func (s *Server) synchronize(from *repo, ref, after string) []*delivery {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	if !isBranch || after == "" {
		return nil
	}
	var out []*delivery
	for _, r := range s.all() {
		for _, p := range r.pulls {
			if p.state != "open" || p.from != from.full() || p.head != branch || p.sha == after {
				continue
			}
			before := p.sha
			p.sha = after
			if s.showHead(r, p) == nil {
				out = append(out, s.tellOfPull(r, p, "synchronize", obj{"before": before, "after": after})...)
			}
		}
	}
	return out
}

// closePull closes a pull request, merged or not.
func (s *Server) closePull(r *repo, p *pull, merged bool) []*delivery {
	p.state, p.merged = "closed", merged
	return s.tellOfPull(r, p, "closed", nil)
}
