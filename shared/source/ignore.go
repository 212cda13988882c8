package source

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

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

// dockerRules are the lines of a .dockerignore file.
type dockerRules struct {
	matcher *patternmatcher.PatternMatcher
}

func parseDockerRules(text []byte) (dockerRules, error) {
	lines, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err == nil && len(lines) > maxIgnorePatterns {
		lines = lines[:maxIgnorePatterns]
	}
	var m *patternmatcher.PatternMatcher
	if err == nil {
		m, err = patternmatcher.New(lines)
	}
	if err != nil {
		return dockerRules{}, job.Rejectf("%s: %w", dockerIgnore, err)
	}
	return dockerRules{m}, nil
}

// excludes reports whether a builder leaves the file out. The Dockerfile and the ignore file itself
// always reach it.
func (d dockerRules) excludes(p string) bool {
	if d.matcher == nil || p == dockerIgnore || strings.HasPrefix(path.Base(p), "Dockerfile") || strings.HasSuffix(p, ".Dockerfile") {
		return false
	}
	out, err := d.matcher.MatchesOrParentMatches(filepath.FromSlash(p))
	return err == nil && out
}

// readIgnore gives an ignore file's text, nothing when there is none. One that is a symlink, a
// folder or far too large has no rules.
func readIgnore(fsys fs.FS, name string) []byte {
	info, err := fs.Stat(fsys, name)
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
