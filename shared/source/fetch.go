package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/gigurra/flycd/shared/job"
)

// Fetch brings exactly that commit and writes the files below paths, which are folders or files of
// the repository; without paths, all of them. The caller closes the tree. The digest of any folder is
// known, also of one that was not written.
//
// The error wraps job.ErrRejected when the commit or a path is not in the repository, when access
// is denied, or when the tree is hostile or exceeds a limit.
func (c *Client) Fetch(ctx context.Context, repo string, at Commit, paths ...string) (*Tree, error) {
	wanted, err := cleanPaths(paths)
	if err != nil {
		return nil, err
	}
	return c.fetch(ctx, repo, at, wanted)
}

// Outline brings the commit's folders without any file: enough for every Digest (it brings the .flycdignore files,
// which say what counts), and as little as the server can be made to send. Fill brings files later.
// The caller closes the tree.
func (c *Client) Outline(ctx context.Context, repo string, at Commit) (*Tree, error) {
	return c.fetch(ctx, repo, at, nil)
}

// fetch writes nothing when wanted is nil.
func (c *Client) fetch(ctx context.Context, repo string, at Commit, wanted []string) (_ *Tree, err error) {
	r, err := parseRepo(repo)
	if err != nil {
		return nil, err
	}
	if !plumbing.IsHash(at.Hash) {
		return nil, job.Rejectf("repository %s: %q is no full commit hash", r, at.Hash)
	}
	dir, err := c.tempDir()
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: filepath.Join(dir.path, "tree"), Commit: at, temp: dir, limits: c.Limits.withDefaults(), repo: r.String()}
	defer func() {
		if err != nil {
			_ = t.Close()
		}
	}()
	if err := c.receive(ctx, r, t, wanted); err != nil {
		return nil, err
	}
	err = t.enter()
	if errors.Is(err, errMissing) {
		return nil, job.Reject(absent(r, at))
	}
	if err != nil {
		return nil, fmt.Errorf("read repository %s: %w", r, err)
	}
	if err := t.explain(t.checkout(ctx, wanted)); err != nil {
		return nil, err
	}
	return t, nil
}

// explain says where an error happened, and rejects a repository that lacks what it names.
func (t *Tree) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errMissing):
		return job.Rejectf("repository %s at %s is damaged: %w", t.repo, short(t.Commit.Hash), err)
	}
	return fmt.Errorf("check out %s of %s: %w", short(t.Commit.Hash), t.repo, err)
}

func short(hash string) string { return hash[:min(len(hash), 10)] }

// ErrAbsent says that a repository was reached and lacks the commit that was asked for.
var ErrAbsent = errors.New("does not have commit")

func absent(r remote, at Commit) error {
	return fmt.Errorf("repository %s %w %s: it was never pushed, or a forced push removed it", r, ErrAbsent, at.Hash)
}

// receive gives the tree its objects: from the repository itself when it is on this machine, else
// from a pack that its server makes, of as little as it can be made to send.
func (c *Client) receive(ctx context.Context, r remote, t *Tree, wanted []string) error {
	a, err := c.connect(ctx, r)
	if err != nil {
		return err
	}
	defer a.close()
	if a.folder != nil {
		t.objects = a.folder
		return nil
	}
	everything := len(wanted) == 1 && wanted[0] == ""
	if !everything && a.partial() {
		if err = c.receivePart(ctx, a, t, wanted); err == nil {
			t.from = a
		}
	} else {
		err = c.receiveAll(ctx, a, t)
	}
	if errors.Is(err, errUnserved) {
		if a, err = c.connect(ctx, r); err != nil {
			return err
		}
		defer a.close()
		err = c.receiveAll(ctx, a, t)
	}
	return absentOr(r, t.Commit, err)
}

// absentOr rejects a commit that the server does not have; any other error stays as it is.
func absentOr(r remote, at Commit, err error) error {
	if err != nil && strings.Contains(err.Error(), "not our ref") {
		return job.Reject(absent(r, at))
	}
	return err
}

func (c *Client) receiveAll(ctx context.Context, a *advert, t *Tree) error {
	req, err := a.request(t.Commit)
	if err != nil {
		return err
	}
	objs, err := c.transfer(ctx, a, req, filepath.Join(t.temp.path, "objects"))
	if err != nil {
		return err
	}
	t.objects = objs
	return nil
}

// transfer sends the request and unpacks what comes.
func (c *Client) transfer(ctx context.Context, a *advert, req *packp.UploadPackRequest, path string) (*pack, error) {
	resp, err := a.session.UploadPack(ctx, req)
	if err != nil {
		return nil, explain(ctx, a.remote, err)
	}
	limits := c.Limits.withDefaults()
	in := demultiplex(req, resp)
	objs, err := unpack(ctx, &received{r: in, left: limits.Received, limit: limits.Received}, path, limits)
	if err != nil {
		_ = resp.Close()
		return nil, explain(ctx, a.remote, err)
	}
	// the little that follows a pack is read, so that the connection can be used again; ssh's is not
	if a.remote.scheme != "ssh" {
		_, _ = io.CopyN(io.Discard, in, 64<<10)
	}
	if err := resp.Close(); err != nil {
		_ = objs.Close()
		return nil, explain(ctx, a.remote, err)
	}
	return objs, nil
}

// request asks for as little as the server can do: the commit alone, by its hash; else the branch,
// or, where even that is unknown, every branch and tag, in full.
func (a *advert) request(at Commit) (*packp.UploadPackRequest, error) {
	req := a.newRequest()
	hash := plumbing.NewHash(at.Hash)
	if a.has(hash) || a.caps.Supports(capability.AllowReachableSHA1InWant) || a.caps.Supports(capability.AllowTipSHA1InWant) {
		req.Wants = []plumbing.Hash{hash}
		if a.caps.Supports(capability.Shallow) {
			_ = req.Capabilities.Set(capability.Shallow)
			req.Depth = packp.DepthCommits(1)
		}
		return req, nil
	}
	if tip, ok := a.refs[at.Ref]; ok {
		req.Wants = []plumbing.Hash{tip}
		return req, nil
	}
	req, err := a.requestAll()
	if err != nil {
		return nil, job.Reject(absent(a.remote, at))
	}
	return req, nil
}

// requestAll asks for every branch and tag with its history.
func (a *advert) requestAll() (*packp.UploadPackRequest, error) {
	req := a.newRequest()
	seen := map[plumbing.Hash]bool{}
	for name, tip := range a.refs {
		if !seen[tip] && (strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/")) {
			seen[tip] = true
			req.Wants = append(req.Wants, tip)
		}
	}
	if len(req.Wants) == 0 {
		return nil, job.Rejectf("repository %s has no branch and no tag", a.remote)
	}
	return req, nil
}

func (a *advert) newRequest() *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(a.caps)
	if a.caps.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	return req
}

// has reports whether the server names the commit, so that it may be asked for.
func (a *advert) has(hash plumbing.Hash) bool {
	if a.head == hash {
		return true
	}
	for _, h := range a.refs {
		if h == hash {
			return true
		}
	}
	return false
}

func demultiplex(req *packp.UploadPackRequest, r io.Reader) io.Reader {
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case req.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}

// received bounds what is taken from a connection that is not HTTP as well.
type received struct {
	r           io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (b *received) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, job.Reject(tooMuch("commit", b.limit))
	}
	return n, err
}
