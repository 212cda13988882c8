package forge

import (
	"context"
	"net/http"
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
	level, _, err := p.api.Repositories.GetPermissionLevel(ctx, p.owner, p.name, user)
	if err != nil {
		err = c.failure(err, "look up what %s may do in %s", user, p)
		if status(err) == http.StatusNotFound {
			return false, nil
		}
		return false, err
	}
	return level.GetPermission() == "write" || level.GetPermission() == "admin", nil
}
