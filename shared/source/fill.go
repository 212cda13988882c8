package source

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Fill brings the files below paths into a tree that Outline or Fetch gave, as Fetch would have: without
// paths, all of them. What is there is not brought again, nor are the folders: a server that sends parts is asked for
// the missing files and nothing else, one that had to send the whole commit, or a repository on this machine,
// is not asked at all. A local tree has all its files.
//
// Nothing else may use the tree meanwhile. Errors are those of Fetch; after one, only closing the tree makes sense.
func (c *Client) Fill(ctx context.Context, t *Tree, paths ...string) error {
	if t.IsLocal() {
		return nil
	}
	wanted, err := cleanPaths(paths)
	if err != nil {
		return err
	}
	wanted = slices.DeleteFunc(wanted, func(p string) bool { return inAny(p, t.filled) })
	if len(wanted) == 0 {
		return nil
	}
	if t.from != nil {
		if err := c.receiveMore(ctx, t, wanted); err != nil {
			return t.explain(err)
		}
	}
	return t.explain(t.checkout(ctx, wanted))
}

// receiveMore brings the files that a tree of parts lacks.
func (c *Client) receiveMore(ctx context.Context, t *Tree, wanted []string) error {
	blobs, err := t.blobs(wanted)
	if err == nil {
		err = c.receiveBlobs(ctx, t.from, t, blobs)
	}
	if !errors.Is(err, errUnserved) {
		return err
	}
	a, err := c.connect(ctx, t.from.remote)
	if err != nil {
		return err
	}
	defer a.close()
	outline := t.objects
	if err := c.receiveAll(ctx, a, t); err != nil {
		return absentOr(a.remote, t.Commit, err)
	}
	t.from = nil
	if closer, ok := outline.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
