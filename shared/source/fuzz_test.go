package source

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func FuzzRepositoryURL(f *testing.F) {
	for _, s := range []string{
		"https://github.com/acme/web.git", "git@github.com:acme/web", "ssh://git@host:22/~me/x", "file:///srv/git", "/srv/git/../x", "https://u:p@h/x",
		"host:-x", "-oProxyCommand=x:y", "ssh://-h/x", "https://[::1]:80/x", "https://u:s3cr3tpass@h h/x", "[::1]:x", "http://h/%zz", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRepo(s)
		if err != nil {
			if !errors.Is(err, job.ErrRejected) {
				t.Errorf("%q: %v is no rejection", s, err)
			}
			return
		}
		if strings.HasPrefix(r.host, "-") || strings.HasPrefix(r.user, "-") || strings.HasPrefix(r.path, "-") {
			t.Errorf("%q: %+v would be an option of ssh", s, r)
		}
		if p := r.cred.Password.Reveal(); len(p) > 8 && strings.Contains(r.String(), p) && !strings.Contains(r.host+r.path, p) {
			t.Errorf("%q: %s tells the password", s, r)
		}
		// the scp form takes a path as it is, where a URL has meanings of its own and is longer
		if r.scheme != "file" && !strings.ContainsAny(r.path, "?#%") && len(r.String()) <= 4096 {
			if _, err := parseRepo(r.String()); err != nil {
				t.Errorf("%q: %s cannot be read again: %v", s, r, err)
			}
		}
		args := sshArgs(r)
		if args[len(args)-3] != "--" {
			t.Errorf("%q: ssh's options and names are not kept apart: %q", s, args)
		}
	})
}

func FuzzRefName(f *testing.F) {
	for _, s := range []string{"main", "refs/heads/x", "a..b", "@{-1}", "-x", "v1.0^{}", "a b", "x.lock", ">=1.2 <2", "0123456789012345678901234567890123456789", "deadbeef"} {
		f.Add(s)
	}
	a := &advert{refs: map[string]plumbing.Hash{"refs/heads/main": {1}, "refs/tags/v1.0.0": {2}}, peeled: map[string]plumbing.Hash{}}
	f.Fuzz(func(t *testing.T, s string) {
		for _, ref := range []manifest.Ref{{Branch: s}, {Tag: s}, {Name: s}, {Semver: s}} {
			err := checkRef(ref)
			if err == nil {
				var at Commit
				if at, err = a.resolve(ref); err == nil && s != "" && len(at.Hash) != 40 {
					t.Errorf("%+v gives %+v", ref, at)
				}
			}
			if err != nil && !errors.Is(err, job.ErrRejected) {
				t.Errorf("%+v: %v is no rejection", ref, err)
			}
		}
	})
}

func FuzzIgnoreFile(f *testing.F) {
	for _, s := range []string{"*.log\n!keep.log", "/a/b/\n", "**/x/**", "\\#x\n#y", "[a-", "a[!b]c", "!\n!!a", "***", "/", strings.Repeat("*", 64), "{a,b}\n", "a\\", "\ufeffx "} {
		f.Add([]byte(s), "a/b/keep.log")
	}
	f.Fuzz(func(t *testing.T, text []byte, p string) {
		if len(text) > 1<<12 || len(p) > 256 {
			return
		}
		clean, err := cleanPath(p)
		if err != nil || clean == "" {
			return
		}
		rs := parseRules(text, nil)
		if len(rs) == 0 && rs.judgeBelow("", clean) != silent {
			t.Error("rules out of nothing")
		}
		if d, err := parseDockerRules(dockerIgnore, text); err == nil {
			d.excludes(clean)
			if d.excludes(dockerIgnore) || d.excludes("Dockerfile") {
				t.Error("what the builder always gets is excluded")
			}
		} else if !errors.Is(err, job.ErrRejected) {
			t.Errorf("%v is no rejection", err)
		}
	})
}

// FuzzHostileTree checks out whatever a tree object says and looks whether anything outside was touched.
func FuzzHostileTree(f *testing.F) {
	hash := strings.Repeat("\x01", 20)
	for _, s := range []string{
		"100644 a\x00", "40000 ..\x00", "120000 l\x00", "100644 .git\x00", "100755 a/b\x00", "160000 m\x00", "20000 d\x00", "100644 A\x00" + hash + "100644 a\x00",
		"120000 a\x00" + hash + "40000 a\x00",
	} {
		f.Add([]byte(s+hash), "../../../outside")
		f.Add([]byte(s+hash), "/tmp")
		f.Add([]byte(s+hash), ".")
	}
	f.Fuzz(func(t *testing.T, tree []byte, content string) {
		store := memory.NewStorage()
		put := func(typ plumbing.ObjectType, b []byte) plumbing.Hash {
			o := &plumbing.MemoryObject{}
			o.SetType(typ)
			if _, err := o.Write(b); err != nil {
				t.Fatal(err)
			}
			h, err := store.SetEncodedObject(o)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		blob, inner := put(plumbing.BlobObject, []byte(content)), put(plumbing.TreeObject, nil)
		// entries that name the hash of ones get a real object: a file's or a folder's
		blobs := bytes.ReplaceAll(tree, []byte(hash), blob[:])
		folders := bytes.ReplaceAll(tree, []byte(hash), inner[:])
		for _, raw := range [][]byte{blobs, folders} {
			checkHostile(t, store, put(plumbing.TreeObject, raw))
		}
	})
}

func checkHostile(t *testing.T, store *memory.Storage, h plumbing.Hash) {
	t.Helper()
	outer := t.TempDir()
	tree := &Tree{
		Dir: filepath.Join(outer, "in", "tree"), tree: h, objects: &folderRepo{store: store},
		limits: Limits{Files: 100, Bytes: 1 << 20, FileBytes: 1 << 20, Depth: 10}.withDefaults(),
	}
	if err := os.Mkdir(filepath.Join(outer, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := tree.checkout(context.Background(), []string{""})
	if err != nil && !errors.Is(err, job.ErrRejected) && !errors.Is(err, errMissing) {
		var pathErr *fs.PathError
		if !errors.As(err, &pathErr) {
			t.Errorf("%v is no rejection", err)
		}
	}
	for dir, want := range map[string]int{outer: 1, filepath.Join(outer, "in"): 1} {
		if files, _ := os.ReadDir(dir); len(files) != want {
			t.Errorf("%s holds %v", dir, files)
		}
	}
	if err != nil {
		return
	}
	_ = filepath.WalkDir(tree.Dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		if e.Type()&fs.ModeSymlink != 0 {
			if real, err := filepath.EvalSymlinks(p); err == nil && real != tree.Dir && !strings.HasPrefix(real, tree.Dir+"/") {
				t.Errorf("%s leads to %s", p, real)
			}
		} else if e.Type()&^fs.ModeDir != 0 {
			t.Errorf("%s is a %s", p, e.Type())
		}
		return nil
	})
	if closed := tree.Close(); closed != nil {
		t.Error(closed)
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"a/b", "../x", "/a", "a/../..", "./a/", "", "a\\b", "..."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := cleanPath(s)
		if err != nil {
			return
		}
		if p != "" && (path.Clean(p) != p || !filepath.IsLocal(p)) {
			t.Errorf("%q becomes %q", s, p)
		}
	})
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x30\x78\x9c\x03\x00\x00\x00\x00\x01"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := unpack(context.Background(), bytes.NewReader(b), filepath.Join(t.TempDir(), "objects"),
			Limits{Bytes: 1 << 20, FileBytes: 1 << 20, Objects: 1000}.withDefaults())
		if err != nil {
			return
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDeltaTargetSizeIsReadBeforeItIsBelieved(t *testing.T) {
	for code, want := range map[string]int64{
		"\x01\x05":     5,
		"\x01\x80\x01": 128,
		"\x01":         -1,
		"":             -1,
		"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff": -1,
	} {
		if got := targetSize([]byte(code)); got != want {
			t.Errorf("%q: got %d, want %d", code, got, want)
		}
	}
}
