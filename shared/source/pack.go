package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/gigurra/flycd/shared/job"
)

// pack holds the objects of a pack, unpacked into one file. Every object is inflated once, while it
// arrives, and hashed on the way; the checkout then copies from the file.
type pack struct {
	file  *os.File
	index map[plumbing.Hash]packed
}

// packed is where an object's content lies in the file.
type packed struct {
	typ          plumbing.ObjectType
	offset, size int64
}

func (p *pack) stat(h plumbing.Hash) (plumbing.ObjectType, int64, error) {
	at, ok := p.index[h]
	if !ok {
		return plumbing.InvalidObject, 0, errMissing
	}
	return at.typ, at.size, nil
}

func (p *pack) open(h plumbing.Hash) (io.ReadCloser, error) {
	at, ok := p.index[h]
	if !ok {
		return nil, errMissing
	}
	return io.NopCloser(io.NewSectionReader(p.file, at.offset, at.size)), nil
}

// Close implements io.Closer.
func (p *pack) Close() error { return p.file.Close() }

// unpacker reads one pack.
type unpacker struct {
	limits Limits
	out    *bufio.Writer
	file   *os.File
	size   int64 // of the file
	bytes  int64 // of objects so far, deltas not counted
	scan   *packfile.Scanner
	index  map[plumbing.Hash]packed
	// byOffset finds the bases of deltas by their place in the pack.
	byOffset map[int64]packed
	deltas   []delta
}

// delta is an object that is told as a change of another.
type delta struct {
	at   int64 // in the pack
	base int64 // in the pack; 0: ref is the base's hash
	ref  plumbing.Hash
	code packed // the instructions
}

// unpack reads a pack from r into a file at path. Whatever exceeds the limits, and whatever is no
// sound pack, is rejected while it arrives.
func unpack(ctx context.Context, r io.Reader, path string, limits Limits) (*pack, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // in a private folder of ours
	if err != nil {
		return nil, fmt.Errorf("make file for objects: %w", err)
	}
	u := &unpacker{
		limits: limits, file: f, out: bufio.NewWriterSize(f, 1<<20),
		scan: packfile.NewScanner(r), index: map[plumbing.Hash]packed{}, byOffset: map[int64]packed{},
	}
	if err := u.run(ctx); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &pack{file: f, index: u.index}, nil
}

func (u *unpacker) run(ctx context.Context) error {
	_, n, err := u.scan.Header()
	if err != nil {
		return damaged(err)
	}
	if int64(n) > int64(u.limits.Objects) {
		return job.Rejectf("the commit has %d objects, more than the limit of %d", n, u.limits.Objects)
	}
	for range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.next(); err != nil {
			return damaged(err)
		}
	}
	if _, err := u.scan.Checksum(); err != nil {
		return damaged(err)
	}
	if err := u.resolve(ctx); err != nil {
		return damaged(err)
	}
	return u.out.Flush()
}

// damaged rejects a pack that is no sound pack, and leaves alone what another attempt may cure:
// a connection that broke, a full disk.
func damaged(err error) error {
	for _, sentinel := range []error{
		packfile.ErrBadSignature, packfile.ErrUnsupportedVersion, packfile.ErrInflatedSizeMismatch,
		packfile.ErrInvalidDelta, packfile.ErrDeltaCmd, packfile.ErrReferenceDeltaNotFound,
	} {
		if errors.Is(err, sentinel) {
			return job.Rejectf("the repository sent a damaged pack: %w", err)
		}
	}
	return err
}

// next takes one object from the pack.
func (u *unpacker) next() error {
	h, err := u.scan.NextObjectHeader()
	if err != nil {
		return err
	}
	if err := u.admit(h.Length); err != nil {
		return err
	}
	at := packed{typ: h.Type, offset: u.size, size: h.Length}
	if h.Type == plumbing.OFSDeltaObject || h.Type == plumbing.REFDeltaObject {
		d := delta{at: h.Offset, base: h.OffsetReference, ref: h.Reference, code: at}
		u.deltas = append(u.deltas, d)
		return u.inflate(u.out, h.Length)
	}
	u.bytes += h.Length
	hasher := plumbing.NewHasher(h.Type, h.Length)
	if err := u.inflate(io.MultiWriter(u.out, hasher), h.Length); err != nil {
		return err
	}
	u.index[hasher.Sum()] = at
	u.byOffset[h.Offset] = at
	return nil
}

func (u *unpacker) inflate(w io.Writer, declared int64) error {
	n, _, err := u.scan.NextObject(w)
	u.size += n
	if err == nil && n != declared {
		err = packfile.ErrInflatedSizeMismatch
	}
	return err
}

// admit refuses an object that would exceed a limit, before any of it is unpacked.
func (u *unpacker) admit(n int64) error {
	switch {
	case n < 0:
		return packfile.ErrInflatedSizeMismatch
	case n > u.limits.FileBytes:
		return job.Reject(tooMuch("largest file", u.limits.FileBytes))
	case u.size+n > 2*u.limits.Bytes || u.bytes+n > u.limits.Bytes:
		return job.Reject(tooMuch("unpacked commit", u.limits.Bytes))
	}
	return nil
}

// resolve turns the deltas into objects. A base may itself be a delta, and, named by hash, may
// come later in the pack.
func (u *unpacker) resolve(ctx context.Context) error {
	pending := u.deltas
	for len(pending) > 0 {
		var later []delta
		for _, d := range pending {
			if err := ctx.Err(); err != nil {
				return err
			}
			base, ok := u.byOffset[d.base]
			if d.base == 0 {
				base, ok = u.index[d.ref]
			}
			if !ok {
				later = append(later, d)
				continue
			}
			if err := u.apply(base, d); err != nil {
				return err
			}
		}
		if len(later) == len(pending) {
			return packfile.ErrReferenceDeltaNotFound
		}
		pending = later
	}
	return nil
}

func (u *unpacker) apply(base packed, d delta) error {
	if err := u.out.Flush(); err != nil {
		return err
	}
	code, err := u.read(d.code)
	if err != nil {
		return err
	}
	if err := u.admit(targetSize(code)); err != nil {
		return err
	}
	from, err := u.read(base)
	if err != nil {
		return err
	}
	content, err := packfile.PatchDelta(from, code)
	if err != nil {
		return err
	}
	at := packed{typ: base.typ, offset: u.size, size: int64(len(content))}
	if _, err := u.out.Write(content); err != nil {
		return err
	}
	u.size += at.size
	u.bytes += at.size
	u.index[plumbing.ComputeHash(at.typ, content)] = at
	u.byOffset[d.at] = at
	return nil
}

func (u *unpacker) read(at packed) ([]byte, error) {
	b := make([]byte, at.size)
	_, err := u.file.ReadAt(b, at.offset)
	return b, err
}

// targetSize reads how large a delta's result says it is; -1 when it cannot be read.
func targetSize(code []byte) int64 {
	r := bytes.NewReader(code)
	var n uint64
	for range 2 {
		n = 0
		for shift := uint(0); ; shift += 7 {
			b, err := r.ReadByte()
			if err != nil || shift > 56 {
				return -1
			}
			n |= uint64(b&0x7f) << shift
			if b&0x80 == 0 {
				break
			}
		}
	}
	return int64(n)
}
