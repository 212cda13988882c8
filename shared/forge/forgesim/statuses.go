package forgesim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	maxDescription = 140
	maxStatuses    = 1000
)

// status is a commit status.
type status struct {
	id                                              int64
	sha, state, context, description, target, login string
	at                                              time.Time
}

func (s *Server) statusRoutes() []route {
	return []route{
		{pattern: "POST /repos/{owner}/{repo}/statuses/{sha}", needs: "statuses:write", run: s.createStatus},
		{pattern: "GET /repos/{owner}/{repo}/commits/{ref}/statuses", needs: "statuses:read", run: s.listStatuses},
		{pattern: "GET /repos/{owner}/{repo}/commits/{ref}/status", needs: "statuses:read", run: s.combinedStatus},
	}
}

func (s *Server) statusView(r *repo, t *status) obj {
	var target, description any
	if t.target != "" {
		target = t.target
	}
	if t.description != "" {
		description = t.description
	}
	return obj{
		"id": t.id, "state": t.state, "context": t.context, "description": description, "target_url": target,
		"creator": s.userView(t.login), "created_at": t.at, "updated_at": t.at, "url": fmt.Sprintf("%s/repos/%s/statuses/%s", s.base, r.full(), t.sha),
	}
}

func (s *Server) createStatus(c *call) answer {
	var in struct {
		State       string `json:"state"`
		TargetURL   string `json:"target_url"`
		Description string `json:"description"`
		Context     string `json:"context"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	sha := c.r.PathValue("sha")
	if len(sha) != 40 || s.commit(c.repo, sha) == "" {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+sha)
	}
	if !slices.Contains([]string{"error", "failure", "pending", "success"}, in.State) {
		return invalid("Status", "state", "state is not included in the list")
	}
	if utf8.RuneCountInString(in.Description) > maxDescription {
		return invalid("Status", "description", "description is too long (maximum is 140 characters)")
	}
	if u, err := url.Parse(in.TargetURL); err != nil || in.TargetURL != "" && u.Scheme != "http" && u.Scheme != "https" {
		return invalid("Status", "target_url", "target_url must use http(s) scheme")
	}
	t := &status{sha: sha, state: in.State, context: cmp.Or(in.Context, "default"), description: in.Description, target: in.TargetURL, login: c.who.login, at: s.now()}
	n := 0
	for _, old := range c.repo.statuses {
		if old.sha == sha && old.context == t.context {
			n++
		}
	}
	if n >= maxStatuses {
		return invalid("Status", "", "This SHA and context has reached the maximum number of statuses.")
	}
	t.id = s.id()
	c.repo.statuses = append(c.repo.statuses, t)
	s.tell(c.repo, notice{event: "status", payload: obj{
		"id": t.id, "sha": sha, "state": t.state, "context": t.context, "description": t.description, "target_url": t.target,
		"repository": s.repoView(c.repo), "sender": s.userView(c.who.login),
	}})
	return created(s.statusView(c.repo, t))
}

func (s *Server) listStatuses(c *call) answer {
	sha := s.commit(c.repo, c.r.PathValue("ref"))
	list := []obj{}
	for _, t := range slices.Backward(c.repo.statuses) {
		if t.sha == sha {
			list = append(list, s.statusView(c.repo, t))
		}
	}
	return paged(s, c, list)
}

// latest are the newest statuses of a commit, one for each context.
func (r *repo) latest(sha string) []*status {
	var out []*status
	for _, t := range slices.Backward(r.statuses) {
		if t.sha == sha && !slices.ContainsFunc(out, func(o *status) bool { return o.context == t.context }) {
			out = append(out, t)
		}
	}
	return out
}

// combined is what all contexts together say of a commit.
func (r *repo) combined(sha string) string {
	list := r.latest(sha)
	state := "success"
	if len(list) == 0 {
		state = "pending"
	}
	for _, t := range list {
		switch t.state {
		case "failure", "error":
			return "failure"
		case "pending":
			state = "pending"
		}
	}
	return state
}

func (s *Server) combinedStatus(c *call) answer {
	sha := s.commit(c.repo, c.r.PathValue("ref"))
	if sha == "" {
		return fail(http.StatusNotFound, "Not Found")
	}
	list := []obj{}
	for _, t := range c.repo.latest(sha) {
		list = append(list, s.statusView(c.repo, t))
	}
	part, header := page(s, c, list)
	return answer{http.StatusOK, obj{
		"state": c.repo.combined(sha), "sha": sha, "total_count": len(list), "statuses": part, "repository": s.repoView(c.repo),
	}, header}
}
