package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/gigurra/flycd/shared/job"
)

// advert is what a repository says about itself: its refs and what its server can do.
type advert struct {
	remote remote
	refs   map[string]plumbing.Hash
	// peeled are the commits of annotated tags.
	peeled map[string]plumbing.Hash
	// head is zero where the default branch does not exist; headRef is its full name.
	head    plumbing.Hash
	headRef string
	caps    *capability.List
	// folder is set for a repository on this machine, session for any other.
	folder  *folderRepo
	session transport.UploadPackSession
	asked   time.Time
}

// close ends the connection, where there is one.
func (a *advert) close() {
	if a.session != nil {
		_ = a.session.Close()
	}
}

// connect opens a session and asks for the refs. The caller closes the advert.
func (c *Client) connect(ctx context.Context, r remote) (*advert, error) {
	asked := c.now()
	if r.scheme == "file" {
		return c.openFolder(r)
	}
	cred, err := c.credential(ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := c.ask(ctx, r, cred)
	if err != nil && cred.isZero() && refused(err) && c.Git && r.scheme == "https" {
		if cred, ok := askGit(ctx, r); ok {
			a, err = c.ask(ctx, r, cred)
		}
	}
	if err != nil {
		return nil, explain(ctx, r, err)
	}
	a.asked = asked
	return a, nil
}

// credential chooses what to send at once: what the URL held, else what Auth knows.
func (c *Client) credential(ctx context.Context, r remote) (Credential, error) {
	cred := r.cred
	if cred.isZero() && c.Auth != nil {
		var err error
		if cred, err = c.Auth.Credential(ctx, r.String()); err != nil {
			return Credential{}, fmt.Errorf("find credential for %s: %w", r, err)
		}
	}
	if !cred.isZero() && r.plain() {
		return Credential{}, job.Rejectf("%s: a credential is not sent over plain http, use https", r)
	}
	return cred, nil
}

func (c *Client) ask(ctx context.Context, r remote, cred Credential) (*advert, error) {
	session, err := c.open(ctx, r, cred)
	if err != nil {
		return nil, err
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = session.Close()
		return nil, err
	}
	a := &advert{
		remote: r, refs: refs.References, peeled: refs.Peeled, caps: refs.Capabilities,
		session: session,
	}
	a.head, a.headRef = headOf(refs)
	return a, nil
}

func (c *Client) open(ctx context.Context, r remote, cred Credential) (transport.UploadPackSession, error) {
	if r.scheme == "ssh" {
		return c.openSSH(ctx, r, cred)
	}
	var auth transport.AuthMethod
	if !cred.isZero() {
		auth = &githttp.BasicAuth{Username: or(cred.Username, "x-access-token"), Password: cred.Password.Reveal()}
	}
	limits := c.Limits.withDefaults()
	rt := bounded{next: c.transport(), refs: limits.Refs, pack: limits.Received, stall: limits.Stall}
	return githttp.NewClient(&http.Client{Transport: rt}).NewUploadPackSession(r.endpoint(), auth)
}

func (c *Client) transport() http.RoundTripper {
	if c.HTTP != nil {
		return c.HTTP
	}
	return sharedTransport()
}

// headOf finds the default branch: what symref says, else the one branch that has HEAD's hash, main
// and master first.
func headOf(refs *packp.AdvRefs) (plumbing.Hash, string) {
	if refs.Head == nil {
		return plumbing.ZeroHash, ""
	}
	for _, v := range refs.Capabilities.Get(capability.SymRef) {
		if from, to, ok := strings.Cut(v, ":"); ok && from == "HEAD" {
			return *refs.Head, to
		}
	}
	candidates := []string{"refs/heads/main", "refs/heads/master"}
	for _, name := range candidates {
		if refs.References[name] == *refs.Head {
			return *refs.Head, name
		}
	}
	best := ""
	for name, hash := range refs.References {
		if hash == *refs.Head && strings.HasPrefix(name, "refs/heads/") && (best == "" || name < best) {
			best = name
		}
	}
	return *refs.Head, best
}

// refused reports whether the server wants a credential, or another one. Forges answer "not found" for
// what a stranger may not see.
func refused(err error) bool {
	return errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) ||
		errors.Is(err, transport.ErrRepositoryNotFound)
}

// explain turns what go-git says into a sentence, and into a rejection where no attempt can help.
func explain(ctx context.Context, r remote, err error) error {
	var unexpected *githttp.Err
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("read repository %s: %w", r, context.Cause(ctx))
	case errors.Is(err, errNoGit):
		return job.Rejectf("repository %s: %w", r, errNoGit)
	case errors.Is(err, job.ErrRejected):
		return err
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return job.Rejectf("repository %s is empty: push a commit to it first", r)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return job.Rejectf("repository %s does not exist or needs a credential that was not given", r)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return job.Rejectf("repository %s: access denied, the credential does not open it", r)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return job.Rejectf("repository %s does not exist, or the credential does not open it", r)
	case errors.As(err, &unexpected):
		return fmt.Errorf("read repository %s: the server answered %d %s", r, unexpected.StatusCode(), http.StatusText(unexpected.StatusCode()))
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("read repository %s: the host %s is unknown", r, dns.Name)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("read repository %s: the connection broke: %w", r, err)
	}
	if sentence := explainSSH(r, err); sentence != nil {
		return sentence
	}
	return fmt.Errorf("read repository %s: %w", r, err)
}
