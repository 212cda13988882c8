package source

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
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
	config.HostKeyCallback = p.compare
	config.HostKeyAlgorithms = p.check.HostKeyAlgorithms(net.JoinHostPort(p.host.endpoint().Host, strconv.Itoa(or(p.host.port, gitssh.DefaultPort))))
	return config, nil
}

// compare is the check of the host's key; its error tells which key the host showed.
func (p pinned) compare(host string, addr net.Addr, key ssh.PublicKey) error {
	err := p.check.HostKeyCallback()(host, addr, key)
	if err == nil {
		return nil
	}
	return shown{err, key.Type() + " " + ssh.FingerprintSHA256(key)}
}

// shown is why a host's key was refused, and the key.
type shown struct {
	error
	key string
}

// Unwrap gives the reason.
func (s shown) Unwrap() error { return s.error }

// CheckKnownHosts says what is wrong with the lines of a known_hosts file.
func CheckKnownHosts(text string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		_, _, _, _, rest, err := ssh.ParseKnownHosts([]byte(line))
		if errors.Is(err, io.EOF) { // empty, or a comment
			continue
		}
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("line %d is none of a known_hosts file: expected HOST KEYTYPE KEY, such as git.example.com ssh-ed25519 AAAA…", n)
		}
	}
	return nil
}

// hostKeys reads the known hosts. Those that are no files go through one, as the parser reads nothing else; there is
// nothing secret in it.
func (c *Client) hostKeys() (knownhosts.HostKeyCallback, error) {
	f, err := os.CreateTemp(or(c.Dir, os.TempDir()), "flycd-known-hosts-*")
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // public keys
	_, err = f.WriteString(string(publishedHosts) + "\n" + c.HostKeys + "\n")
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
	const advice = "Compare it with the fingerprints that the host publishes, and only if it is one of them put the host's line into " +
		"FLYCD_KNOWN_HOSTS (on your own machine: into known_hosts)"
	seen := shown{key: "a key"}
	_ = errors.As(err, &seen) // ssh of a person's machine shows none
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return job.Rejectf("repository %s: the host's key is not the one that is known: it showed %s. Somebody may be listening, or the key was renewed. %s",
			r, seen.key, advice)
	case knownhosts.IsHostUnknown(err):
		return job.Rejectf("repository %s: the host's key is unknown: it showed %s. %s", r, seen.key, advice)
	case strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return job.Rejectf("repository %s: access denied, the ssh key does not open it", r)
	}
	return nil
}
