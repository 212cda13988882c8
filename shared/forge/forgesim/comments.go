package forgesim

import (
	"fmt"
	"slices"
	"time"
)

const maxComment = 65536

// comment is a comment on an issue or a pull request.
type comment struct {
	id, number  int64
	body, by    string
	at, updated time.Time
	edited      bool
}

func (s *Server) commentRoutes() []route {
	const of = "/repos/{owner}/{repo}/issues/{number}/comments"
	const one = "/repos/{owner}/{repo}/issues/comments/{id}"
	return []route{
		// of an issue, or one: the two patterns of GitHub meet, so they are one here
		{pattern: "GET /repos/{owner}/{repo}/issues/{number}/{id}", needs: "issues:read|pull_requests:read", run: s.readComments},
		{pattern: "POST " + of, needs: "issues:write|pull_requests:write", run: s.createComment},
		{pattern: "PATCH " + one, needs: "issues:write|pull_requests:write", run: s.editComment},
		{pattern: "DELETE " + one, needs: "issues:write|pull_requests:write", run: s.deleteComment},
	}
}

func (s *Server) commentView(r *repo, m *comment) obj {
	association := "NONE"
	switch s.role(r, m.by) {
	case "admin":
		association = "OWNER"
	case "write", "maintain":
		association = "COLLABORATOR"
	}
	return obj{
		"id": m.id, "body": m.body, "user": s.userView(m.by), "created_at": m.at, "updated_at": m.updated, "author_association": association,
		"url":       fmt.Sprintf("%s/repos/%s/issues/comments/%d", s.base, r.full(), m.id),
		"html_url":  fmt.Sprintf("%s/%s/pull/%d#issuecomment-%d", s.base, r.full(), m.number, m.id),
		"issue_url": fmt.Sprintf("%s/repos/%s/issues/%d", s.base, r.full(), m.number),
	}
}

func (s *Server) readComments(c *call) answer {
	switch {
	case c.r.PathValue("number") == "comments":
		return s.showComment(c)
	case c.r.PathValue("id") == "comments":
		return s.listComments(c)
	}
	return notFound()
}

func (s *Server) listComments(c *call) answer {
	list := []obj{}
	for _, m := range c.repo.comments {
		if m.number == c.number("number") {
			list = append(list, s.commentView(c.repo, m))
		}
	}
	if len(list) == 0 && c.repo.pull(c.number("number")) == nil {
		return notFound()
	}
	return paged(s, c, list)
}

func (c *call) comment() *comment {
	for _, m := range c.repo.comments {
		if m.id == c.number("id") {
			return m
		}
	}
	return nil
}

func (s *Server) showComment(c *call) answer {
	m := c.comment()
	if m == nil {
		return notFound()
	}
	return ok(s.commentView(c.repo, m))
}

// commentBody reads the text of a comment and says what is wrong with it.
func (c *call) commentBody() (string, answer, bool) {
	var in struct {
		Body string `json:"body"`
	}
	if a, fine := c.decode(&in); !fine {
		return "", a, false
	}
	switch {
	case in.Body == "":
		return "", invalid("IssueComment", "body", "Body can't be blank"), false
	case len(in.Body) > maxComment:
		return "", invalid("IssueComment", "body", fmt.Sprintf("Body is too long (maximum is %d characters)", maxComment)), false
	}
	return in.Body, answer{}, true
}

func (s *Server) createComment(c *call) answer {
	p := c.repo.pull(c.number("number"))
	if p == nil {
		return notFound()
	}
	text, a, fine := c.commentBody()
	if !fine {
		return a
	}
	m, _ := s.comment(c.repo, p, text, c.who.login)
	return created(s.commentView(c.repo, m))
}

// comment adds a comment and tells of it.
func (s *Server) comment(r *repo, p *pull, text, login string) (*comment, []*delivery) {
	m := &comment{id: s.id(), number: p.number, body: text, by: login, at: s.now(), updated: s.now()}
	r.comments = append(r.comments, m)
	return m, s.tellOfComment(r, p, m, "created")
}

func (s *Server) tellOfComment(r *repo, p *pull, m *comment, action string) []*delivery {
	issue := obj{
		"number": p.number, "title": p.title, "state": p.state, "user": s.userView(p.by), "html_url": s.pullHTML(r, p),
		"pull_request": obj{"url": s.pullURL(r, p), "html_url": s.pullHTML(r, p)},
	}
	return s.tell(r, notice{event: "issue_comment", action: action, payload: obj{
		"action": action, "issue": issue, "comment": s.commentView(r, m), "repository": s.repoView(r), "sender": s.userView(m.by),
	}})
}

func (s *Server) editComment(c *call) answer {
	m := c.comment()
	if m == nil {
		return notFound()
	}
	text, a, fine := c.commentBody()
	if !fine {
		return a
	}
	m.body, m.updated, m.edited = text, s.now(), true
	if p := c.repo.pull(m.number); p != nil {
		s.tellOfComment(c.repo, p, m, "edited")
	}
	return ok(s.commentView(c.repo, m))
}

func (s *Server) deleteComment(c *call) answer {
	m := c.comment()
	if m == nil {
		return notFound()
	}
	c.repo.comments = slices.DeleteFunc(c.repo.comments, func(o *comment) bool { return o == m })
	return empty()
}
