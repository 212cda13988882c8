package forge

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Permission reports whether a person may write to the repository. Somebody unknown may not.
func (c *Client) Permission(ctx context.Context, repo, user string) (write bool, err error) {
	if user == "" || strings.Trim(strings.ToLower(user), "abcdefghijklmnopqrstuvwxyz0123456789-_[]") != "" {
		return false, nil
	}
	p, err := c.open(ctx, repo, ForReports)
	if err != nil {
		return false, err
	}
	var level struct{ Permission string }
	if err := call(ctx, p.api, request{path: "repos/" + p.String() + "/collaborators/" + url.PathEscape(user) + "/permission"}, &level); err != nil {
		err = c.failure(err, "look up what %s may do in %s", user, p)
		if status(err) == http.StatusNotFound {
			return false, nil
		}
		return false, err
	}
	return level.Permission == "write" || level.Permission == "admin", nil
}
