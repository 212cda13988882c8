package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/job"
)

// publishedHosts holds the host keys that GitHub publishes (https://api.github.com/meta).
//
//go:embed known_hosts
var publishedHosts []byte

const dialWithin = 30 * time.Second

// openSSH connects with the key of the credential; without one it leaves the connection to the ssh
// program of a person's machine, which knows its configuration and keys, or asks the agent.
func (c *Client) openSSH(ctx context.Context, r remote, cred Credential) (transport.UploadPackSession, error) {
	limits := c.Limits.withDefaults()
	if cred.SSHKey.IsZero() && c.Git {
		if session, ok, err := startSSH(ctx, r, limits.Refs+limits.Received); ok {
			return session, err
		}
	}
	auth, err := c.sshAuth(r, cred)
	if err != nil {
		return nil, err
	}
	return gitssh.NewClient(nil).NewUploadPackSession(r.endpoint(), auth)
}

// sshAuth fixes the host's key: it must be one of the published ones or in the known_hosts files.
func (c *Client) sshAuth(r remote, cred Credential) (transport.AuthMethod, error) {
	user := or(r.user, "git")
	check, err := c.hostKeys()
	if err != nil {
		return nil, err
	}
	if cred.SSHKey.IsZero() {
		agent, err := gitssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, job.Rejectf("repository %s needs an ssh key: give FlyCD a deploy key, or use the https URL with a token", r)
		}
		agent.HostKeyCallback = check.HostKeyCallback()
		return pinned{agent, check, r}, nil
	}
	keys, err := gitssh.NewPublicKeys(user, []byte(cred.SSHKey.Reveal()), "")
	if err != nil {
		// the parser's own error may quote the key
		return nil, job.Rejectf("the ssh key for %s cannot be read: expected a private key in PEM form without passphrase", r)
	}
	// without it go-git looks for known_hosts files of its own
	keys.HostKeyCallback = check.HostKeyCallback()
	return pinned{keys, check, r}, nil
}

// pinned asks a server only for those kinds of host keys that are known of it, so that one that is
// known by its RSA key is not refused for its other one.
type pinned struct {
	gitssh.AuthMethod
	check knownhosts.HostKeyCallback
	host  remote
}

// ClientConfig implements ssh.AuthMethod of go-git.
func (p pinned) ClientConfig() (*ssh.ClientConfig, error) {
	config, err := p.AuthMethod.ClientConfig()
	if err != nil {
		return nil, err
	}
	config.Timeout = dialWithin
	config.HostKeyCallback = p.check.HostKeyCallback()
	config.HostKeyAlgorithms = p.check.HostKeyAlgorithms(net.JoinHostPort(p.host.endpoint().Host, strconv.Itoa(or(p.host.port, gitssh.DefaultPort))))
	return config, nil
}

// hostKeys reads the known hosts. The published keys go through a file, as their parser reads
// nothing else.
func (c *Client) hostKeys() (knownhosts.HostKeyCallback, error) {
	f, err := os.CreateTemp(or(c.Dir, os.TempDir()), "flycd-known-hosts-*")
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // public keys
	_, err = f.Write(publishedHosts)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	files := []string{f.Name()}
	for _, name := range c.KnownHosts {
		if _, err := os.Stat(name); err == nil {
			files = append(files, name)
		}
	}
	check, err := knownhosts.New(files...)
	if err != nil {
		return nil, job.Rejectf("read known hosts: %w", err)
	}
	return check, nil
}

// explainSSH says what ssh's errors mean; nil when err is none of them.
func explainSSH(r remote, err error) error {
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return job.Rejectf("repository %s: the host's key is not the one that is known: somebody may be listening, or the key was renewed; "+
			"check it and correct known_hosts", r)
	case knownhosts.IsHostUnknown(err):
		return job.Rejectf("repository %s: the host's key is unknown: check it and add it to known_hosts (ssh-keyscan %s)", r, r.host)
	case strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return job.Rejectf("repository %s: access denied, the ssh key does not open it", r)
	}
	return nil
}
