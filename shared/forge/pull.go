package forge

import (
	"context"

	"github.com/gigurra/flycd/shared/job"
)

// Pull is a pull request, as far as its plan needs it.
type Pull struct {
	// Head is the commit that it wants merged, Base the branch that it is to be merged into, without refs/heads/.
	Head, Base string
	// Fork is true where the head is in another repository.
	Fork bool
}

// Pull looks up a pull request of a repository.
func (c *Client) Pull(ctx context.Context, repo string, number int) (Pull, error) {
	p, err := c.open(ctx, repo, ForReports)
	if err != nil {
		return Pull{}, err
	}
	pr, _, err := p.api.PullRequests.Get(ctx, p.owner, p.name, number)
	if err != nil {
		return Pull{}, c.failure(err, "look up pull request %d of %s", number, p)
	}
	from := pr.GetHead().GetRepo().GetCloneURL()
	return Pull{
		Head: pr.GetHead().GetSHA(), Base: pr.GetBase().GetRef(), Fork: from == "" || job.RepoKey(from) != job.RepoKey(repo),
	}, nil
}
