package source

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/gigurra/flycd/shared/job"
)

// Names of the files that say which files do not count.
const (
	gitIgnore    = ".gitignore"
	dockerIgnore = ".dockerignore"
	flycdIgnore  = ".flycdignore"
)

const (
	maxIgnoreBytes    = 1 << 20
	maxIgnorePatterns = 10_000
)

// rules are lines in the syntax of .gitignore. The last line that matches decides.
type rules []gitignore.Pattern

// verdict is what the rules say of one path.
type verdict int

const (
	silent verdict = iota
	excluded
	included
)

// parseRules reads the lines of an ignore file that lies in the folder dir.
func parseRules(text []byte, dir []string) rules {
	var out rules
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxIgnoreBytes)
	for lines.Scan() && len(out) < maxIgnorePatterns {
		line := strings.TrimSuffix(lines.Text(), "\r")
		line = strings.TrimPrefix(line, "\ufeff")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// git drops trailing spaces unless they are quoted
		if trimmed := strings.TrimRight(line, " "); !strings.HasSuffix(trimmed, `\`) {
			line = trimmed
		}
		out = append(out, gitignore.ParsePattern(line, dir))
	}
	return out
}

func (rs rules) judge(p []string, isDir bool) verdict {
	for i := len(rs) - 1; i >= 0; i-- {
		switch rs[i].Match(p, isDir) {
		case gitignore.Exclude:
			return excluded
		case gitignore.Include:
			return included
		case gitignore.NoMatch:
		}
	}
	return silent
}

// judgeBelow asks about a file and the folders that it lies in, from base down. As with git, what is in
// an excluded folder is excluded, whatever is said of it.
func (rs rules) judgeBelow(base, p string) verdict {
	out := silent
	parts := split(p)
	for n := len(split(base)) + 1; n <= len(parts); n++ {
		switch rs.judge(parts[:n], n < len(parts)) {
		case excluded:
			return excluded
		case included:
			out = included
		case silent:
		}
	}
	return out
}

// flycdRules reads the .flycdignore of the folder p: for a commit from the commit, whether it was written or not.
func (t *Tree) flycdRules(p string) (rules, error) {
	if t.IsLocal() {
		fsys, err := t.FS()
		if err != nil {
			return nil, err
		}
		return parseRules(readIgnore(fsys, path.Join(p, flycdIgnore)), split(p)), nil
	}
	e, err := t.lookup(p)
	if err != nil || e.mode != modeDir {
		return nil, err
	}
	entries, err := readTree(t.objects, e.hash)
	if err != nil {
		return nil, err
	}
	ignore, ok := find(entries, flycdIgnore)
	if !ok || !isRegular(ignore.mode) {
		return nil, nil
	}
	if _, size, err := t.objects.stat(ignore.hash); err == nil && size > maxIgnoreBytes {
		return nil, nil
	}
	text, err := readObject(t.objects, ignore.hash, plumbing.BlobObject, maxIgnoreBytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Join(p, flycdIgnore), err)
	}
	return parseRules(text, split(p)), nil
}

func isRegular(mode uint32) bool { return mode == modeFile || mode == modeGroup || mode == modeExec }

// dockerRules are the lines of a .dockerignore file.
type dockerRules struct {
	matcher *patternmatcher.PatternMatcher
	// read are files that the builder reads whatever the lines say.
	read []string
}

// Reading is a folder as a build reads it. Of a folder on disk, a file that a builder leaves out does not count; which
// those are depends on the build.
type Reading struct {
	Path string
	// Dockerfile and Ignorefile are paths in the folder; empty means Dockerfile, and the ignore file that builders look
	// for by themselves: the one beside the Dockerfile, else .dockerignore.
	Dockerfile, Ignorefile string
	// All counts what an ignore file leaves out, too: that is not the folder's own which the build will have.
	All bool
}

// dockerRules gives the rules that the build of the folder p goes by.
func (r Reading) dockerRules(fsys fs.FS, p string) (dockerRules, error) {
	if r.All {
		return dockerRules{}, nil
	}
	names := []string{or(r.Dockerfile, "Dockerfile") + dockerIgnore, dockerIgnore}
	if r.Ignorefile != "" {
		names = []string{r.Ignorefile}
	}
	for _, name := range names {
		if _, err := fs.Lstat(fsys, path.Join(p, name)); err != nil {
			continue
		}
		d, err := parseDockerRules(path.Clean(name), readIgnore(fsys, path.Join(p, name)))
		d.read = []string{path.Clean(or(r.Dockerfile, "dockerfile")), path.Clean(name)}
		return d, err
	}
	return dockerRules{}, nil
}

func parseDockerRules(file string, text []byte) (dockerRules, error) {
	lines, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err == nil && len(lines) > maxIgnorePatterns {
		lines = lines[:maxIgnorePatterns]
	}
	var m *patternmatcher.PatternMatcher
	if err == nil {
		m, err = patternmatcher.New(lines)
	}
	if err != nil {
		return dockerRules{}, job.Rejectf("%s: %w", file, err)
	}
	return dockerRules{matcher: m}, nil
}

// excludes reports whether a builder leaves the file out. The Dockerfile and the ignore file itself
// always reach it.
func (d dockerRules) excludes(p string) bool {
	if d.matcher == nil || p == dockerIgnore || slices.Contains(d.read, p) || strings.HasPrefix(path.Base(p), "Dockerfile") || strings.HasSuffix(p, ".Dockerfile") {
		return false
	}
	out, err := d.matcher.MatchesOrParentMatches(filepath.FromSlash(p))
	return err == nil && out
}

// readIgnore gives an ignore file's text, nothing when there is none. One that is a symlink, a
// folder or far too large has no rules.
func readIgnore(fsys fs.FS, name string) []byte {
	info, err := fs.Lstat(fsys, name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxIgnoreBytes {
		return nil
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil
	}
	return text
}

// split gives the parts of a clean path; the root has none.
func split(p string) []string {
	if p == "" || p == "." {
		return nil
	}
	return strings.Split(p, "/")
}
