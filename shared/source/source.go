package source

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gigurra/flycd/shared/manifest"
)

// Client resolves and fetches. The zero value is ready to use; it must not be copied after that. It
// is safe for concurrent use.
type Client struct {
	// Limits bound what a repository may make this machine do.
	Limits Limits
	// Dir is where temporary folders are made; empty means the system's folder for them.
	Dir string
	// Auth gives credentials for repositories; nil means none.
	Auth Authenticator
	// Git allows the git and ssh programs of a person's machine to be asked for credentials, for
	// repositories that refuse without. Runners leave it off.
	Git bool
	// KnownHosts are further known_hosts files for ssh beside GitHub's published keys, which are
	// built in. A host that is in none of them is refused.
	KnownHosts []string
	// HostKeys are further known hosts, as the lines of such a file; CheckKnownHosts says what is wrong with them.
	HostKeys string
	// NoFolders refuses repositories that are folders of this machine (file URLs).
	NoFolders bool
	// Memory is how long the answer of ls-remote is used again; zero means 5 seconds, negative never.
	Memory time.Duration
	// HTTP carries https; nil means a client with time limits of its own.
	HTTP http.RoundTripper
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	flights singleflight.Group
	mu      sync.Mutex
	adverts map[string]*advert
	dirs    map[*tempDir]struct{}
	swept   bool
}

// Limits bound the work for one tree. The zero value of a field means its default. What exceeds a
// limit is rejected while it arrives, not afterwards.
type Limits struct {
	// Received is the most bytes that one fetch may send; default 1 GiB.
	Received int64
	// Bytes is the most that a fetch, a checkout or a context may unpack to; default 4 GiB.
	Bytes int64
	// FileBytes is the largest single file; default 512 MiB.
	FileBytes int64
	// Files is the most files and folders of a tree; default 200,000.
	Files int
	// Objects is the most objects that one fetch may send; default 2,000,000.
	Objects int
	// Depth is the deepest nesting of folders; default 100.
	Depth int
	// Refs is the most bytes that ls-remote may answer; default 64 MiB.
	Refs int64
	// Stall is the longest silence of a server while it answers; default one minute.
	Stall time.Duration
}

// Commit is what a ref stands for.
type Commit struct {
	// Hash is the full commit hash; empty for a folder on disk.
	Hash string
	// Ref is the full name of the ref that was asked for (refs/heads/main), empty for a pinned commit.
	Ref string
}

// Authenticator gives the credential for a repository; the zero Credential means none. The
// repository is a URL without credentials.
type Authenticator interface {
	Credential(ctx context.Context, repo string) (Credential, error)
}

// Credential opens a repository: a user and password (or token) for https, a private key for ssh.
type Credential struct {
	// Username may be empty with a token: forges ignore it.
	Username string
	Password manifest.Secret
	// SSHKey is a private key in PEM form without passphrase.
	SSHKey manifest.Secret
}

func (c Credential) isZero() bool { return c.Password.IsZero() && c.SSHKey.IsZero() }

func (l Limits) withDefaults() Limits {
	l.Received = or(l.Received, 1<<30)
	l.Bytes = or(l.Bytes, 4<<30)
	l.FileBytes = or(l.FileBytes, 512<<20)
	l.Files = or(l.Files, 200_000)
	l.Objects = or(l.Objects, 2_000_000)
	l.Depth = or(l.Depth, 100)
	l.Refs = or(l.Refs, 64<<20)
	l.Stall = or(l.Stall, time.Minute)
	return l
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Close removes the folders of all trees and contexts that are still open. The client may be used
// again afterwards.
func (c *Client) Close() error {
	c.mu.Lock()
	open := make([]*tempDir, 0, len(c.dirs))
	for d := range c.dirs {
		open = append(open, d)
	}
	c.mu.Unlock()
	var err error
	for _, d := range open {
		if e := d.Close(); e != nil && err == nil {
			err = e
		}
	}
	return err
}
