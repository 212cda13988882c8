package source_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/source"
)

// bigRepository makes a repository of some 60 MB in 6,000 files with some history and gives its URL at git's own
// server and its newest commit.
func bigRepository(b *testing.B) (url, hash string) {
	b.Helper()
	program := needGit(b)
	dir := b.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command(program, append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("w%x", rng.Uint64()>>rng.IntN(40))
	}
	text := func(n int) []byte {
		var out []byte
		for len(out) < n {
			out = fmt.Appendf(out, "%s %s(%s)\n", words[rng.IntN(len(words))], words[rng.IntN(len(words))], words[rng.IntN(len(words))])
		}
		return out
	}
	run("init", "-q", "-b", "main")
	for i := range 6000 {
		name := filepath.Join(dir, fmt.Sprintf("d%02d/e%02d", i%40, i%37), fmt.Sprintf("f%d.go", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, text(2000+rng.IntN(18_000)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	run("add", "-A")
	run("commit", "-q", "-m", "all")
	for c := range 5 {
		for i := range 300 {
			name := filepath.Join(dir, fmt.Sprintf("d%02d/e%02d", i%40, i%37), fmt.Sprintf("f%d.go", i))
			if err := os.WriteFile(name, text(5000+c), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		run("add", "-A")
		run("commit", "-q", "-m", "change")
	}
	run("repack", "-q", "-a", "-d")
	return serveForBench(b, program, dir) + "/.git", run("rev-parse", "HEAD")[:40]
}

// BenchmarkFetchAgainstGit fetches the newest commit of a big repository at depth 1 and tells the time as a ratio of
// what the git program needs for the same, over the same server.
func BenchmarkFetchAgainstGit(b *testing.B) {
	url, hash := bigRepository(b)
	program := needGit(b)
	c := &source.Client{Dir: b.TempDir(), Memory: -1}
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		tree, err := c.Fetch(b.Context(), url, source.Commit{Hash: hash})
		ours += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if err := tree.Close(); err != nil {
			b.Fatal(err)
		}
		dir := filepath.Join(b.TempDir(), "clone")
		start = time.Now()
		if out, err := exec.Command(program, "clone", "-q", "--depth", "1", "--no-tags", url, dir).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		theirs += time.Since(start)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ours-ms/op")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "git-ms/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x-of-git")
}

// BenchmarkFetchOneFolderAgainstGit is the same for one folder of it; git makes a partial, sparse clone.
func BenchmarkFetchOneFolderAgainstGit(b *testing.B) {
	url, hash := bigRepository(b)
	program := needGit(b)
	c := &source.Client{Dir: b.TempDir(), Memory: -1}
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		tree, err := c.Fetch(b.Context(), url, source.Commit{Hash: hash}, "d07")
		ours += time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if err := tree.Close(); err != nil {
			b.Fatal(err)
		}
		dir := filepath.Join(b.TempDir(), "clone")
		start = time.Now()
		for _, args := range [][]string{
			{"clone", "-q", "--depth", "1", "--no-tags", "--filter=blob:none", "--sparse", url, dir},
			{"-C", dir, "sparse-checkout", "set", "d07"},
		} {
			if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
		theirs += time.Since(start)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ours-ms/op")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "git-ms/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x-of-git")
}
