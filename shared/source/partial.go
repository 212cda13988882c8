package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/gigurra/flycd/shared/job"
)

// A folder of more files than this is had faster by fetching the whole commit.
const maxPartialFiles = 20_000

// errUnserved says that a server did not do what it advertises.
var errUnserved = errors.New("the server does not serve parts")

// partial reports whether the server can send folders without files, and files by their hash.
func (a *advert) partial() bool {
	return a.caps.Supports(capability.Filter) && a.caps.Supports(capability.Shallow) &&
		// both together mean any object, not only commits
		a.caps.Supports(capability.AllowTipSHA1InWant) && a.caps.Supports(capability.AllowReachableSHA1InWant)
}

// receivePart brings the commit's folders, and then only the files that are wanted: for one folder of a
// large repository that is a small part of it. The error is errUnserved when the whole commit must be
// fetched after all.
func (c *Client) receivePart(ctx context.Context, a *advert, t *Tree, wanted []string) error {
	req, err := a.request(t.Commit)
	if err != nil {
		return err
	}
	_ = req.Capabilities.Set(capability.Filter)
	req.Filter = packp.FilterBlobNone()
	outline, err := c.transfer(ctx, a, req, filepath.Join(t.temp.path, "outline"))
	if err != nil {
		return err
	}
	t.objects = packs{outline}
	blobs, err := t.ignores(outline)
	if err == nil {
		err = t.enter()
	}
	var files []plumbing.Hash
	if err == nil {
		files, err = t.blobs(wanted)
	}
	if err == nil {
		err = c.receiveBlobs(ctx, a, t, append(blobs, files...))
	}
	if err != nil {
		_ = t.objects.(packs).Close() //nolint:forcetypeassert // set above
		return err
	}
	return nil
}

// ignores lists the contents of all .flycdignore files: a digest cannot be told without them.
func (t *Tree) ignores(outline *pack) ([]plumbing.Hash, error) {
	var out []plumbing.Hash
	for h, at := range outline.index {
		if at.typ != plumbing.TreeObject {
			continue
		}
		entries, err := readTree(outline, h)
		if err != nil {
			return nil, err
		}
		if e, ok := find(entries, flycdIgnore); ok && isRegular(e.mode) {
			out = append(out, e.hash)
		}
	}
	return out, nil
}

// blobs lists the files' contents below the wanted paths.
func (t *Tree) blobs(wanted []string) ([]plumbing.Hash, error) {
	var out []plumbing.Hash
	for _, p := range wanted {
		e, err := t.lookup(p)
		if err != nil {
			return nil, err
		}
		files := []counted{{p, e.mode, e.hash}}
		if e.mode == modeDir {
			g := &gitLister{tree: t}
			entries, err := readTree(t.objects, e.hash)
			if err == nil {
				err = g.list(p, entries)
			}
			if err != nil {
				return nil, err
			}
			files = g.out
		}
		for _, f := range files {
			if f.mode != modeModule {
				out = append(out, f.hash)
			}
		}
	}
	return out, nil
}

// receiveBlobs brings those contents that the tree does not have yet, each once.
func (c *Client) receiveBlobs(ctx context.Context, a *advert, t *Tree, blobs []plumbing.Hash) error {
	have := t.objects.(packs) //nolint:forcetypeassert // of a tree of parts
	seen := map[plumbing.Hash]bool{}
	blobs = slices.DeleteFunc(blobs, func(h plumbing.Hash) bool {
		_, _, err := have.stat(h)
		known := seen[h] || err == nil
		seen[h] = true
		return known
	})
	switch {
	case len(blobs) == 0:
		return nil
	case len(blobs) > maxPartialFiles:
		return errUnserved
	}
	if a.remote.scheme == "ssh" {
		// a connection ends with its pack
		again, err := c.connect(ctx, a.remote)
		if err != nil {
			return err
		}
		defer again.close()
		a = again
	}
	req := a.newRequest()
	req.Wants = blobs
	files, err := c.transfer(ctx, a, req, filepath.Join(t.temp.path, fmt.Sprintf("files-%d", len(have))))
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, job.ErrRejected) && strings.Contains(err.Error(), "not our ref") {
			return errUnserved
		}
		return fmt.Errorf("fetch files: %w", err)
	}
	t.objects = append(have, files)
	return nil
}

// packs are the objects of several packs.
type packs []*pack

func (ps packs) stat(h plumbing.Hash) (plumbing.ObjectType, int64, error) {
	for _, p := range ps {
		if typ, n, err := p.stat(h); err == nil {
			return typ, n, nil
		}
	}
	return plumbing.InvalidObject, 0, errMissing
}

func (ps packs) open(h plumbing.Hash) (io.ReadCloser, error) {
	for _, p := range ps {
		if r, err := p.open(h); err == nil {
			return r, nil
		}
	}
	return nil, errMissing
}

// Close implements io.Closer.
func (ps packs) Close() error {
	var err error
	for _, p := range ps {
		err = errors.Join(err, p.Close())
	}
	return err
}
