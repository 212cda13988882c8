package forge

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// Bounds of what is shown at a commit, in bytes: GitHub counts characters, which are never more.
const (
	maxDescription = 140
	maxContext     = 200
	maxEnvironment = 200
)

// Status is what a commit shows of one subject.
type Status struct {
	// Context names the subject. A commit shows the newest status of each.
	Context string `json:"context"`
	// State is pending, success, failure or error.
	State string `json:"state"`
	// Description is plain text; what is more than 140 bytes is cut.
	Description string `json:"description"`
	// Target is where the status links to; empty is nowhere.
	Target string `json:"target_url,omitempty"`
}

// still gives the status as it may be shown.
func (s Status) still() Status {
	s.Context, s.Description = oneLine(s.Context, maxContext), oneLine(s.Description, maxDescription)
	if !linkable(s.Target) {
		s.Target = ""
	}
	return s
}

// linkable lets nothing through but addresses of the web.
func linkable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && len(address) <= 1000
}

// Status sets a commit's status. Setting it again adds a second one: look with LastStatus where it may be there.
func (c *Client) Status(ctx context.Context, repo, commit string, s Status) error {
	p, err := c.openAt(ctx, repo, commit)
	if err != nil {
		return err
	}
	err = call(ctx, p.api, request{method: http.MethodPost, path: "repos/" + p.String() + "/statuses/" + commit, body: s.still()}, nil)
	return c.failure(err, "set status of %s", p.at(commit))
}

// LastStatus gives the newest status that a commit has in a context, and false where it has none.
func (c *Client) LastStatus(ctx context.Context, repo, commit, named string) (Status, bool, error) {
	p, err := c.openAt(ctx, repo, commit)
	if err != nil {
		return Status{}, false, err
	}
	named = oneLine(named, maxContext)
	s, ok, err := find(ctx, p.api, request{path: "repos/" + p.String() + "/commits/" + commit + "/statuses"},
		func(s Status) bool { return s.Context == named })
	return s, ok, c.failure(err, "read statuses of %s", p.at(commit))
}

// openAt opens a repository to report on a commit of it.
func (c *Client) openAt(ctx context.Context, repo, commit string) (place, error) {
	if !fullCommit(commit) {
		return place{}, job.Rejectf("%s: no commit: expected its full hash", oneLine(commit, 100))
	}
	return c.open(ctx, repo, ForReports)
}

func (p place) at(commit string) string { return p.String() + "@" + commit[:7] }

func fullCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}
