package source

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/gigurra/flycd/shared/job"
)

// errMissing says that a repository does not hold an object that it names.
var errMissing = errors.New("object is missing")

// objects is where a commit's objects are read from. Reading is safe from several goroutines.
type objects interface {
	// stat gives the type and the size of an object, or errMissing.
	stat(h plumbing.Hash) (plumbing.ObjectType, int64, error)
	// open gives an object's content.
	open(h plumbing.Hash) (io.ReadCloser, error)
}

// Modes of tree entries, as git writes them.
const (
	modeDir     = 0o40000
	modeFile    = 0o100644
	modeExec    = 0o100755
	modeGroup   = 0o100664 // written by very old versions of git, means modeFile
	modeSymlink = 0o120000
	modeModule  = 0o160000
)

type treeEntry struct {
	name string
	mode uint32
	hash plumbing.Hash
}

// readObject reads a whole object that must be of one type and of no more than limit bytes.
func readObject(objs objects, h plumbing.Hash, want plumbing.ObjectType, limit int64) ([]byte, error) {
	typ, n, err := objs.stat(h)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want, h, err)
	}
	if typ != want {
		return nil, job.Rejectf("object %s is a %s where a %s belongs: the repository is damaged", h, typ, want)
	}
	if n > limit {
		return nil, job.Reject(tooMuch(want.String()+" "+h.String(), limit))
	}
	r, err := objs.open(h)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want, h, err)
	}
	defer r.Close() //nolint:errcheck // only read
	buf := bytes.NewBuffer(make([]byte, 0, n+1))
	if _, err := buf.ReadFrom(io.LimitReader(r, n+1)); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want, h, err)
	}
	return buf.Bytes(), nil
}

const (
	maxCommitBytes = 16 << 20
	maxTreeBytes   = 64 << 20
	maxTagChain    = 10
)

// peel follows tags to their commit and gives the commit and its tree.
func peel(objs objects, h plumbing.Hash) (commit, tree plumbing.Hash, err error) {
	for range maxTagChain {
		typ, _, err := objs.stat(h)
		if err != nil {
			return commit, tree, fmt.Errorf("read commit %s: %w", h, err)
		}
		if typ == plumbing.CommitObject {
			tree, err = header(objs, h, typ, "tree ")
			return h, tree, err
		}
		if typ != plumbing.TagObject {
			return commit, tree, job.Rejectf("%s is a %s, not a commit", h, typ)
		}
		if h, err = header(objs, h, typ, "object "); err != nil {
			return commit, tree, err
		}
	}
	return commit, tree, job.Rejectf("%s is a tag of a tag of a tag", h)
}

// lastSecond is the end of the year 9999, the last that images and archives can name.
const lastSecond = 253_402_300_799

// committed gives the committer's time of a commit; zero where it is none that others could read.
func committed(objs objects, commit plumbing.Hash) (time.Time, error) {
	content, err := readObject(objs, commit, plumbing.CommitObject, maxCommitBytes)
	if err != nil {
		return time.Time{}, err
	}
	head, _, _ := strings.Cut(string(content), "\n\n")
	for line := range strings.Lines(head) {
		if !strings.HasPrefix(line, "committer ") {
			continue
		}
		// committer Name <address> seconds zone
		words := strings.Fields(line[strings.LastIndexByte(line, '>')+1:])
		if len(words) == 0 {
			break
		}
		seconds, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil || seconds < 0 || seconds > lastSecond {
			break
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	return time.Time{}, nil
}

// header reads the hash on the first line of a commit or a tag.
func header(objs objects, h plumbing.Hash, typ plumbing.ObjectType, key string) (plumbing.Hash, error) {
	content, err := readObject(objs, h, typ, maxCommitBytes)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	text, ok := strings.CutPrefix(line, key)
	if !ok || !plumbing.IsHash(text) {
		return plumbing.ZeroHash, job.Rejectf("%s %s is damaged", typ, h)
	}
	return plumbing.NewHash(text), nil
}

// readTree decodes a tree object.
func readTree(objs objects, h plumbing.Hash) ([]treeEntry, error) {
	content, err := readObject(objs, h, plumbing.TreeObject, maxTreeBytes)
	if err != nil {
		return nil, err
	}
	entries, err := decodeTree(content)
	if err != nil {
		return nil, job.Rejectf("tree %s is damaged: %w", h, err)
	}
	return entries, nil
}

func decodeTree(b []byte) ([]treeEntry, error) {
	var entries []treeEntry
	for len(b) > 0 {
		sp, nul := bytes.IndexByte(b, ' '), bytes.IndexByte(b, 0)
		if sp < 1 || sp > 6 || nul < sp || len(b) < nul+1+len(plumbing.ZeroHash) {
			return nil, fmt.Errorf("entry %d cannot be read", len(entries)+1)
		}
		mode, err := octal(b[:sp])
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(entries)+1, err)
		}
		e := treeEntry{name: string(b[sp+1 : nul]), mode: mode}
		copy(e.hash[:], b[nul+1:])
		entries = append(entries, e)
		b = b[nul+1+len(e.hash):]
	}
	return entries, nil
}

func octal(b []byte) (uint32, error) {
	var n uint32
	for _, c := range b {
		if c < '0' || c > '7' {
			return 0, fmt.Errorf("mode %q is not octal", b)
		}
		n = n<<3 | uint32(c-'0')
	}
	return n, nil
}

// encodeTree gives the object that git would make of the entries. It sorts them.
func encodeTree(entries []treeEntry) []byte {
	sortEntries(entries)
	var buf bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&buf, "%o %s\x00", e.mode, e.name)
		buf.Write(e.hash[:])
	}
	return buf.Bytes()
}

func hashTree(entries []treeEntry) plumbing.Hash {
	return plumbing.ComputeHash(plumbing.TreeObject, encodeTree(entries))
}

func hexOf(h plumbing.Hash) string { return hex.EncodeToString(h[:]) }
