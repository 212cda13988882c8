package forgesim

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/source"
)

const (
	zeros = "0000000000000000000000000000000000000000"
	// more tags than these at once are not told of, as GitHub has it.
	maxTags = 3
	// a push event holds so many commits at most.
	maxCommits = 2048
)

// Pushed says what Push is to tell of.
type Pushed struct {
	// Repo is OWNER/NAME.
	Repo string `json:"repo"`
	// Ref is a full name; empty: every ref that moved.
	Ref string `json:"ref"`
	// Sender is who pushed (default: the owner).
	Sender string `json:"sender"`
}

// Delivery is what became of a notice to one hook.
type Delivery struct {
	ID     int64  `json:"id"`
	GUID   string `json:"guid"`
	Event  string `json:"event"`
	Action string `json:"action,omitempty"`
	URL    string `json:"url"`
	Status string `json:"status"`
	// Code is what the hook answered; 0 where it did not.
	Code int `json:"status_code"`
	// Answer is the body of that.
	Answer string `json:"answer,omitempty"`
}

// moved is a ref that is not where it was.
type moved struct{ ref, before, after string }

// Push tells the hooks of what moved since they were told last, and waits until all have answered. A ref that is
// named and has not moved is told of again.
func (s *Server) Push(ctx context.Context, p Pushed) ([]Delivery, error) {
	s.pushes.Lock()
	list, err := s.push(p)
	s.pushes.Unlock()
	if err != nil {
		return nil, err
	}
	return s.landed(ctx, list)
}

func (s *Server) push(p Pushed) ([]*delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, name, _ := strings.Cut(p.Repo, "/")
	r := s.discover(owner, name)
	if r == nil {
		return nil, fmt.Errorf("push to %s: %w", p.Repo, fs.ErrNotExist)
	}
	refs, _, err := s.git.Refs(r.full())
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", p.Repo, err)
	}
	list := r.moves(refs, p.Ref)
	r.pushed = s.now()
	tags := 0
	for _, m := range list {
		if strings.HasPrefix(m.ref, "refs/tags/") {
			tags++
		}
	}
	var out []*delivery
	for _, m := range list {
		if strings.HasPrefix(m.ref, "refs/tags/") && tags > maxTags {
			continue
		}
		out = append(out, s.tell(r, notice{event: "push", payload: s.pushView(r, m, cmp.Or(p.Sender, r.owner))})...)
		out = append(out, s.synchronize(r, m.ref, refs[m.ref])...)
	}
	return out, nil
}

// moves are the branches and tags that moved since they were told of, and notes them as told.
func (r *repo) moves(refs map[string]string, only string) []moved {
	if r.told == nil {
		r.told = map[string]string{}
	}
	names := maps.Clone(refs)
	maps.Copy(names, r.told)
	var out []moved
	for _, ref := range slices.Sorted(maps.Keys(names)) {
		before, after := r.told[ref], refs[ref]
		plain := strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/")
		if !plain || only != "" && ref != only || only == "" && before == after {
			continue
		}
		out = append(out, moved{ref, cmp.Or(before, zeros), cmp.Or(after, zeros)})
		r.told[ref] = after
		if after == "" {
			delete(r.told, ref)
		}
	}
	return out
}

// pushView is the push event.
func (s *Server) pushView(r *repo, m moved, sender string) obj {
	repository := s.repoView(r)
	repository["pushed_at"] = r.pushed.Unix()
	repository["master_branch"] = repository["default_branch"]
	commits, head, forced := []obj{}, any(nil), false
	if m.after != zeros {
		without := m.before
		if without == zeros {
			without = s.commit(r, "HEAD")
		}
		made, _ := s.git.History(r.full(), m.after, without, maxCommits) // a tag of something else has none
		for _, one := range slices.Backward(made) {
			commits = append(commits, s.pushedCommit(r, one))
		}
		if newest, err := s.git.History(r.full(), m.after, "", 1); err == nil && len(newest) > 0 {
			head = s.pushedCommit(r, newest[0])
		}
		if m.before != zeros {
			lost, err := s.git.History(r.full(), m.before, m.after, 1)
			forced = err != nil || len(lost) > 0
		}
	}
	who := s.userView(sender)
	return obj{
		"ref": m.ref, "before": m.before, "after": m.after, "created": m.before == zeros, "deleted": m.after == zeros, "forced": forced,
		"base_ref": nil, "compare": fmt.Sprintf("%s/%s/compare/%.12s...%.12s", s.base, r.full(), m.before, m.after), "commits": commits, "head_commit": head,
		"repository": repository, "pusher": obj{"name": sender, "email": sender + "@example.com"}, "sender": who,
	}
}

func (s *Server) pushedCommit(r *repo, m source.Made) obj {
	who := obj{"name": m.Author, "email": m.Email, "username": m.Author}
	return obj{
		"id": m.Hash, "message": strings.TrimSuffix(m.Message, "\n"), "timestamp": m.Time.Format(time.RFC3339), "distinct": true,
		"url": fmt.Sprintf("%s/%s/commit/%s", s.base, r.full(), m.Hash), "author": who, "committer": who,
		"added": listed(m.Added), "removed": listed(m.Removed), "modified": listed(m.Modified),
	}
}

// listed is a list that is never null in JSON.
func listed[T any](list []T) []T { return append([]T{}, list...) }

// pushedOver tells of what a push over HTTP moved, in the name of who pushed.
func (s *Server) pushedOver(full string, r *http.Request) {
	s.mu.Lock()
	who, _, _ := s.identify(r) // it was let in
	s.mu.Unlock()
	s.pushes.Lock()
	_, _ = s.push(Pushed{Repo: full, Sender: who.login}) // the repository is there
	s.pushes.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	s.idle.Broadcast()
}

// landed waits for deliveries and says what became of them.
func (s *Server) landed(ctx context.Context, list []*delivery) ([]Delivery, error) {
	out := []Delivery{}
	for _, d := range list {
		select {
		case <-d.landed:
		case <-ctx.Done():
			return out, fmt.Errorf("wait for deliveries: %w", context.Cause(ctx))
		}
		out = append(out, d.public())
	}
	return out, nil
}

func (d *delivery) public() Delivery {
	return Delivery{ID: d.id, GUID: d.guid, Event: d.event, Action: d.action, URL: d.url, Status: d.status, Code: d.code, Answer: d.answer}
}
