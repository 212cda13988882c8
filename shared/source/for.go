package source

import (
	"context"

	"github.com/gigurra/flycd/shared/job"
)

// For gives a client with the same limits that uses its credentials for one repository alone: for manifests that somebody
// wrote who is not trusted. It asks no programs of this machine and opens no folders.
func (c *Client) For(repo string) *Client {
	one := &Client{
		Limits: c.Limits, Dir: c.Dir, KnownHosts: c.KnownHosts, HostKeys: c.HostKeys, NoFolders: true, Memory: c.Memory, HTTP: c.HTTP, Now: c.Now,
	}
	if c.Auth != nil {
		one.Auth = onlyFor{c.Auth, job.RepoKey(repo)}
	}
	return one
}

// onlyFor gives the credentials of one repository.
type onlyFor struct {
	Authenticator
	key string
}

// Credential implements Authenticator.
func (o onlyFor) Credential(ctx context.Context, repo string) (Credential, error) {
	if job.RepoKey(repo) != o.key {
		return Credential{}, nil
	}
	return o.Authenticator.Credential(ctx, repo)
}
