package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong at one place, and what would be right.
type Problem struct {
	// Repo is empty for the repository that was read.
	Repo         string
	File         string
	Line, Column int
	// Key is the dotted path of the key (http_service.internal_port), empty for a whole file.
	Key string
	// Text is one sentence that says what was expected, with the nearest known key where the key
	// is unknown.
	Text string
	// App is the app that the problem makes unusable, where it is known.
	App string
	// Hides reports that the problem may hide further apps: a project or a folder that could not
	// be read.
	Hides bool
	// Refused reports that a policy forbids it (project.yaml's allow): a matter of rights, not of spelling.
	Refused bool
}

// String gives file:line:column: key: text.
func (p Problem) String() string {
	var b strings.Builder
	if p.Repo != "" {
		b.WriteString(p.Repo + " ")
	}
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(visible(p.Key) + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// visible quotes a key that would break a line or a terminal.
func visible(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(key)
	}
	return key
}

// Problems is an error that lists everything that is wrong with a tree, a line each. No attempt can
// help: whoever turns it into a job's result rejects the job.
type Problems []Problem

// Error gives a line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// HideApps reports whether any of the problems may hide apps.
func (ps Problems) HideApps() bool {
	for _, p := range ps {
		if p.Hides {
			return true
		}
	}
	return false
}
