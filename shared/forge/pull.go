package forge

import (
	"context"
	"fmt"

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
	var w wirePull
	if err := call(ctx, p.api, request{path: fmt.Sprintf("repos/%s/pulls/%d", p, number)}, &w); err != nil {
		return Pull{}, c.failure(err, "look up pull request %d of %s", number, p)
	}
	from := w.Head.Repo.CloneURL
	return Pull{Head: w.Head.SHA, Base: w.Base.Ref, Fork: from == "" || job.RepoKey(from) != job.RepoKey(repo)}, nil
}

type wirePull struct {
	Head struct {
		SHA  string `json:"sha"`
		Repo struct {
			CloneURL string `json:"clone_url"`
		} `json:"repo"`
	} `json:"head"`
	Base struct {
		Ref string `json:"ref"`
	} `json:"base"`
}
