package report

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

// Row is the plan of one app. Its JSON is public: flycd plan and flycd drift print it.
type Row struct {
	App     string      `json:"app"`
	Outcome job.Outcome `json:"outcome"`
	// Drift is for flycd drift alone: what the difference comes from.
	Drift   string      `json:"drift,omitempty"`
	Counts  plan.Counts `json:"counts"`
	Changes []string    `json:"changes"`
	Plan    plan.Plan   `json:"plan"`
	Notes   []string    `json:"notes,omitempty"`
	// Pending is what is left for a person to do outside of Fly, such as DNS records.
	Pending []string `json:"pending,omitempty"`
	Error   string   `json:"error,omitempty"`
	// Digest is that of what would be deployed.
	Digest string `json:"-"`
}

// What a difference between a manifest and Fly comes from. The words are public.
const (
	DriftNone = "none"
	// DriftFound is where what was deployed last is no longer what is there.
	DriftFound = "found"
	// DriftChanged is where the manifest, or its source, is not what was deployed last.
	DriftChanged = "changed"
	// DriftNew is an app that FlyCD has not deployed.
	DriftNew = "new"
)

// Headline says in a line what becomes of an app.
func (row Row) Headline() string {
	switch {
	case row.Drift == DriftNew:
		return "FlyCD has not deployed it: flycd plan shows what a deploy would do"
	case row.Drift == DriftChanged:
		return "its manifest or source has changed since the last deploy: flycd plan shows what a deploy would do"
	case row.Drift == DriftNone:
		return "as it was deployed"
	case row.Plan.Empty():
		return "nothing to do"
	case row.Drift == DriftFound:
		return "has drifted: " + countText(row.Counts)
	}
	text := "would be " + string(row.Outcome)
	if row.Outcome == job.Unchanged {
		text = "would stay as it is" // only notes, or commands
	}
	if counts := countText(row.Counts); counts != "" {
		text += ": " + counts
	}
	return text
}

// Sign is a verb's sign in a diff.
func Sign(verb string) string {
	switch verb {
	case "create", "allocate", "add":
		return "+"
	case "destroy", "release", "remove", "unset", "downtime":
		return "-"
	default:
		return "!"
	}
}

// OneLine keeps a text that came from elsewhere from moving a terminal's cursor, or from beginning a
// line of its own.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029:
			return '\ufffd'
		}
		return r
	}, s)
}

func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
