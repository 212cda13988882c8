package dispatcher

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// pinged reads which repository a webhook was set up for, empty where it is an organisation's.
func pinged(payload []byte) (catalog.Push, error) {
	var p struct {
		Repository struct {
			CloneURL      string `json:"clone_url"`
			DefaultBranch string `json:"default_branch"`
		} `json:"repository"`
		Sender struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := json.Unmarshal(payload, &p); err != nil || !object(payload) {
		return catalog.Push{}, fmt.Errorf("%w: read ping event: it is no such JSON object", errNotUnderstood)
	}
	return catalog.Push{
		Repo: p.Repository.CloneURL, Ref: "refs/heads/" + p.Repository.DefaultBranch, DefaultBranch: p.Repository.DefaultBranch, Actor: p.Sender.Login,
	}, nil
}

// firstSync makes the syncs of the root trees that live in a repository whose webhook was just set up: nobody need push
// to begin.
func (s *Server) firstSync(_ context.Context, e event) (jobs []job.Job, ignored string, err error) {
	for _, root := range s.Roots {
		if e.push.Repo == "" || job.RepoKey(root.Repo) != job.RepoKey(e.push.Repo) {
			continue
		}
		jobs = append(jobs, job.Job{
			ID:   job.Push{Kind: job.Sync, Subject: root.ID(), Repo: root.Repo, Ref: "ping", Before: e.guid}.ID(),
			Kind: job.Sync, Config: root, Reason: job.ByPing, Delivery: e.guid, Actor: e.push.Actor, Created: s.now().UTC(),
		})
	}
	if len(jobs) == 0 {
		ignored = "ping: the webhook is set up"
	}
	return jobs, ignored, nil
}
