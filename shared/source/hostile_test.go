package source_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// entry is an entry of a tree object that no honest git would write.
type entry struct {
	mode, name string
	hash       plumbing.Hash
}

// forge makes repositories out of raw objects.
type forge struct {
	t    *testing.T
	dir  string
	repo *git.Repository
}

func newForge(t *testing.T) *forge {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hostile.git")
	r, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{Bare: true, InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"}})
	if err != nil {
		t.Fatal(err)
	}
	return &forge{t, dir, r}
}

func (f *forge) object(typ plumbing.ObjectType, content []byte) plumbing.Hash {
	f.t.Helper()
	o := f.repo.Storer.NewEncodedObject()
	o.SetType(typ)
	w, err := o.Writer()
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		f.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.t.Fatal(err)
	}
	h, err := f.repo.Storer.SetEncodedObject(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

func (f *forge) blob(text string) plumbing.Hash { return f.object(plumbing.BlobObject, []byte(text)) }

func (f *forge) tree(entries ...entry) plumbing.Hash {
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s\x00", e.mode, e.name)
		b.Write(e.hash[:])
	}
	return f.object(plumbing.TreeObject, b.Bytes())
}

func (f *forge) commit(tree plumbing.Hash) string {
	f.t.Helper()
	who := object.Signature{Name: "t", Email: "t@example.com", When: time.Unix(1_700_000_000, 0)}
	c := object.Commit{Author: who, Committer: who, Message: "m", TreeHash: tree}
	o := f.repo.Storer.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		f.t.Fatal(err)
	}
	h, err := f.repo.Storer.SetEncodedObject(o)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/main", h)); err != nil {
		f.t.Fatal(err)
	}
	return h.String()
}

func TestHostileTreesAreRejectedAndWriteNothingOutside(t *testing.T) {
	const file, dir, link = "100644", "40000", "120000"
	cases := map[string]struct {
		says  string
		build func(f *forge) plumbing.Hash
	}{
		"dot dot":        {`is named ".."`, func(f *forge) plumbing.Hash { return f.tree(entry{file, "..", f.blob("x")}) }},
		"dot dot folder": {`is named ".."`, func(f *forge) plumbing.Hash { return f.tree(entry{dir, "..", f.tree(entry{file, "x", f.blob("x")})}) }},
		"dot":            {`is named "."`, func(f *forge) plumbing.Hash { return f.tree(entry{dir, ".", f.tree()}) }},
		"slash":          {"path separator", func(f *forge) plumbing.Hash { return f.tree(entry{file, "../x", f.blob("x")}) }},
		"absolute":       {"path separator", func(f *forge) plumbing.Hash { return f.tree(entry{file, "/etc/x", f.blob("x")}) }},
		"backslash":      {"path separator", func(f *forge) plumbing.Hash { return f.tree(entry{file, `..\x`, f.blob("x")}) }},
		"git folder": {"git's own folder", func(f *forge) plumbing.Hash {
			return f.tree(entry{dir, ".git", f.tree(entry{file, "config", f.blob("x")})})
		}},
		"git in capitals":  {"git's own folder", func(f *forge) plumbing.Hash { return f.tree(entry{dir, ".GiT", f.tree()}) }},
		"git short name":   {"git's own folder", func(f *forge) plumbing.Hash { return f.tree(entry{dir, "GIT~1", f.tree()}) }},
		"git trailing dot": {"git's own folder", func(f *forge) plumbing.Hash { return f.tree(entry{dir, ".git. .", f.tree()}) }},
		"git stream":       {"git's own folder", func(f *forge) plumbing.Hash { return f.tree(entry{dir, ".git::$INDEX_ALLOCATION", f.tree()}) }},
		"git invisible":    {"git's own folder", func(f *forge) plumbing.Hash { return f.tree(entry{dir, ".g\u200cit", f.tree()}) }},
		"device":           {"device", func(f *forge) plumbing.Hash { return f.tree(entry{file, "aux.c", f.blob("x")}) }},
		"device port":      {"device", func(f *forge) plumbing.Hash { return f.tree(entry{file, "COM1", f.blob("x")}) }},
		"device file mode": {"mode 20000", func(f *forge) plumbing.Hash { return f.tree(entry{"020000", "tty", f.blob("x")}) }},
		"fifo mode":        {"mode 10000", func(f *forge) plumbing.Hash { return f.tree(entry{"010000", "pipe", f.blob("x")}) }},
		"bad mode":         {"not octal", func(f *forge) plumbing.Hash { return f.tree(entry{"10064x", "f", f.blob("x")}) }},
		"case collision": {`"A" and "a"`, func(f *forge) plumbing.Hash {
			return f.tree(entry{file, "A", f.blob("x")}, entry{file, "a", f.blob("y")})
		}},
		"twice the same": {`"a" and "a"`, func(f *forge) plumbing.Hash {
			return f.tree(entry{link, "a", f.blob("/tmp")}, entry{dir, "a", f.tree(entry{file, "x", f.blob("x")})})
		}},
		"long name":        {"255 bytes", func(f *forge) plumbing.Hash { return f.tree(entry{file, strings.Repeat("n", 256), f.blob("x")}) }},
		"absolute symlink": {"outside", func(f *forge) plumbing.Hash { return f.tree(entry{link, "l", f.blob("/etc/passwd")}) }},
		"climbing symlink": {"outside", func(f *forge) plumbing.Hash {
			return f.tree(entry{dir, "d", f.tree(entry{link, "l", f.blob("../../x")})})
		}},
		"climbing by another": {"outside", func(f *forge) plumbing.Hash {
			return f.tree(entry{link, "a", f.blob("d/up/../x")}, entry{dir, "d", f.tree(entry{link, "up", f.blob("..")})})
		}},
		"empty symlink": {"leads nowhere", func(f *forge) plumbing.Hash { return f.tree(entry{link, "l", f.blob("")}) }},
		"huge symlink":  {"limit", func(f *forge) plumbing.Hash { return f.tree(entry{link, "l", f.blob(strings.Repeat("a", 5000))}) }},
		"tree as file":  {"is a tree", func(f *forge) plumbing.Hash { return f.tree(entry{file, "f", f.tree()}) }},
		"file as tree":  {"damaged", func(f *forge) plumbing.Hash { return f.tree(entry{dir, "d", f.blob("x")}) }},
		"cut off":       {"damaged", func(f *forge) plumbing.Hash { return f.object(plumbing.TreeObject, []byte("100644 a\x00short")) }},
		"file bomb": {"more than 1000 files", func(f *forge) plumbing.Hash {
			// ten folders of ten folders of …: ten billion files in ten objects
			at := f.tree(entry{file, "f", f.blob("boom")})
			for range 10 {
				var level []entry
				for i := range 10 {
					level = append(level, entry{dir, fmt.Sprint("d", i), at})
				}
				at = f.tree(level...)
			}
			return at
		}},
		"deep bomb": {"nested deeper", func(f *forge) plumbing.Hash {
			at := f.tree(entry{file, "f", f.blob("x")})
			for range 200 {
				at = f.tree(entry{dir, "d", at})
			}
			return at
		}},
		"large file": {"limit of 1 MiB", func(f *forge) plumbing.Hash { return f.tree(entry{file, "f", f.blob(strings.Repeat("0", 1<<20+1))}) }},
		"many large files": {"limit of 4 MiB", func(f *forge) plumbing.Hash {
			var all []entry
			for i := range 9 {
				all = append(all, entry{file, fmt.Sprint("f", i), f.blob(strings.Repeat(fmt.Sprint(i), 1<<19))})
			}
			return f.tree(all...)
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newForge(t)
			hash := f.commit(tc.build(f))
			srv := httptest.NewServer(&source.Server{Dir: filepath.Dir(f.dir)})
			defer srv.Close()
			urls := []string{f.dir, srv.URL + "/hostile.git"}
			if name == "bad mode" || name == "cut off" {
				urls = urls[:1] // go-git's server cannot even send it
			}
			for _, url := range urls {
				c := client(t)
				c.Limits = source.Limits{Files: 1000, FileBytes: 1 << 20, Bytes: 4 << 20}
				_, err := c.Fetch(t.Context(), url, source.Commit{Hash: hash})
				if name == "file as tree" && url == f.dir {
					tc.says = "is a blob"
				} else if name == "file as tree" {
					tc.says = "object is missing"
				}
				wantRejected(t, err, tc.says)
				outside, err := os.ReadDir(c.Dir)
				if err != nil || len(outside) > 0 {
					t.Errorf("left beside the tree: %v %v", outside, err)
				}
			}
		})
	}
}

func TestHonestOddNamesAreTaken(t *testing.T) {
	f := newForge(t)
	names := []string{".gitignore", ".github", "git", "console.go", "auxiliary", "com10", "a b", "ünï", "..a", "a..b", ".gitattributes", "dot.", "x:y"}
	var entries []entry
	for _, n := range names {
		entries = append(entries, entry{"100644", n, f.blob(n)})
	}
	entries = append(entries, entry{"120000", "loop", f.blob("loop")}, entry{"120000", "dangling", f.blob("nowhere")}, entry{"120000", "fine", f.blob("./..a")})
	tree := fetch(t, client(t), f.dir, f.commit(f.tree(entries...)))
	for _, n := range names {
		if got := read(t, tree, n); got != n {
			t.Errorf("%q holds %q", n, got)
		}
	}
}

func TestPackBombIsRejectedWhileItArrives(t *testing.T) {
	f := newForge(t)
	// compresses to a few kilobytes
	hash := f.commit(f.tree(entry{"100644", "f", f.blob(strings.Repeat("0", 8<<20))}))
	srv := httptest.NewServer(&source.Server{Dir: filepath.Dir(f.dir)})
	defer srv.Close()
	for says, limits := range map[string]source.Limits{
		"largest file is larger than the limit of 1 MiB":    {FileBytes: 1 << 20},
		"unpacked commit is larger than the limit of 2 MiB": {Bytes: 2 << 20},
		"commit is larger than the limit of 1 KiB":          {Received: 1 << 10},
		"3 objects, more than the limit of 2":               {Objects: 2},
	} {
		c := client(t)
		c.Limits = limits
		_, err := c.Fetch(t.Context(), srv.URL+"/hostile.git", source.Commit{Hash: hash})
		wantRejected(t, err, says)
	}
	c := client(t)
	c.Limits.Refs = 64
	_, err := c.Resolve(t.Context(), srv.URL+"/hostile.git", manifest.Ref{})
	wantRejected(t, err, "list of refs is larger")
}

func TestPointerOrSubmoduleIsRefusedOnlyWhereItIsBuilt(t *testing.T) {
	f := newForge(t)
	pointer := f.blob("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
	module := plumbing.NewHash(strings.Repeat("ab", 20))
	hash := f.commit(f.tree(
		entry{"40000", "lfs", f.tree(entry{"100644", "logo.png", pointer})},
		entry{"160000", "module", module},
		entry{"40000", "web", f.tree(entry{"100644", "Dockerfile", f.blob("FROM scratch")})},
	))
	c := client(t)
	tree := fetch(t, c, f.dir, hash)
	for p, says := range map[string]string{"lfs": "lfs/logo.png is a git-lfs pointer", "": "git", "module": "module is a git submodule"} {
		_, err := c.Context(t.Context(), source.ContextSpec{Source: tree, Path: p})
		if p == "module" {
			continue // the folder does not exist
		}
		wantRejected(t, err, says)
	}
	built, err := c.Context(t.Context(), source.ContextSpec{Source: tree, Path: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := built.Close(); err != nil {
		t.Error(err)
	}
}

func TestBrokenServersAreToldApart(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv.URL + "/acme/web"
	}
	status := func(code int) string {
		return serve(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>long page</html>", code) })
	}
	resolve := func(url string) error {
		c := client(t)
		c.Limits.Stall = 100 * time.Millisecond
		_, err := c.Resolve(t.Context(), url, manifest.Ref{})
		return err
	}
	wantRejected(t, resolve(status(401)), "does not exist or needs a credential")
	wantRejected(t, resolve(status(403)), "access denied")
	wantRejected(t, resolve(status(404)), "does not exist")
	wantRejected(t, resolve(serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) })), "not as a git server does")
	wantRetryable(t, resolve(status(500)))
	wantRetryable(t, resolve(status(429)))
	wantRetryable(t, resolve("http://127.0.0.1:1/acme/web"))
	release := make(chan struct{})
	defer close(release)
	stalled := resolve(serve(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	wantRetryable(t, stalled)
	if !strings.Contains(stalled.Error(), "stopped sending") {
		t.Errorf("error = %v, want it to say that the server stopped sending", stalled)
	}
	cut := resolve(serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n"))
	}))
	wantRetryable(t, cut)
}
