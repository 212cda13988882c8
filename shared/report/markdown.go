package report

import (
	"fmt"
	"io"
	"strings"
)

// The bounds of a plan as markdown: a forge takes 65,536 characters in a comment.
const (
	mostMarkdown      = 60_000
	mostMarkdownApp   = 12_000
	mostMarkdownTable = 200
)

// Markdown writes plans for a pull request: a table of all apps, and a diff block for each
// that would change. What comes from manifests and from Fly stands in code alone, so that nothing in it
// is read as markdown.
func Markdown(w io.Writer, rows []Row) error {
	changed, failed, same := 0, 0, 0
	for _, row := range rows {
		switch {
		case row.Error != "":
			failed++
		case row.Plan.Empty():
			same++
		default:
			changed++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## Plan: %s to change, %d unchanged", counted(changed, "app"), same)
	if failed > 0 {
		fmt.Fprintf(&b, ", %d with errors", failed)
	}
	b.WriteString("\n\n")
	writeTable(&b, rows)
	left := 0
	for _, row := range rows {
		block := markdownApp(row)
		if block == "" {
			continue
		}
		if b.Len()+len(block) > mostMarkdown {
			left++
			continue
		}
		b.WriteString(block)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n_%s left out here, since a comment holds no more: `flycd plan` shows all._\n", countOf(left, "app is", "apps are"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable lists the apps that would change, with their counts.
func writeTable(b *strings.Builder, rows []Row) {
	shown, left := 0, 0
	for _, row := range rows {
		if row.Error == "" && row.Plan.Empty() {
			continue
		}
		if shown == mostMarkdownTable {
			left++
			continue
		}
		if shown++; shown == 1 {
			b.WriteString("| app | | create | change | replace | destroy | restart | downtime |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
		}
		what, c := string(row.Outcome), row.Counts
		if row.Error != "" {
			what = "error"
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d | %d |\n", codeSpan(row.App), what, c.Created, c.Changed, c.Replaced, c.Destroyed, c.Restarted, c.Downtime)
	}
	if left > 0 {
		fmt.Fprintf(b, "\n_and %s._\n", counted(left, "more app"))
	}
}

// markdownApp is one app's heading and blocks; empty where there is nothing to say.
func markdownApp(row Row) string {
	var b strings.Builder
	switch {
	case row.Error != "":
		fmt.Fprintf(&b, "\n### %s: error\n\n", codeSpan(row.App))
		fence(&b, "text", strings.Split(strings.TrimSpace(row.Error), "\n"))
	case row.Plan.Empty() && len(row.Notes)+len(row.Pending) == 0:
		return ""
	default:
		fmt.Fprintf(&b, "\n### %s: %s\n\n", codeSpan(row.App), row.Headline())
		if lines := diffLines(row); len(lines) > 0 {
			fence(&b, "diff", lines)
		}
	}
	var notes []string
	for _, n := range row.Notes {
		notes = append(notes, "note: "+n)
	}
	for _, p := range row.Pending {
		notes = append(notes, "pending: "+p)
	}
	if len(notes) > 0 {
		b.WriteString("\n")
		fence(&b, "text", notes)
	}
	return b.String()
}

// diffLines writes a plan as a forge colours a diff: + creates, - destroys, ! changes.
func diffLines(row Row) []string {
	var all []string
	for _, s := range Fold(row.Plan) {
		all = append(all, "  "+s.Title)
		for _, l := range s.Lines {
			all = append(all, Sign(l.Verb)+" "+l.Text)
			for _, c := range l.Changes {
				all = append(all, "!     "+c.String())
			}
			if l.Downtime != "" {
				all = append(all, "!     downtime: "+l.Downtime)
			}
		}
	}
	return all
}

// fence writes lines as a code block that nothing in them can end, and no more of them than one app
// may take.
func fence(b *strings.Builder, language string, lines []string) {
	marks, most, size := "```", 0, 0
	for i, line := range lines {
		lines[i] = OneLine(line)
		if size += len(lines[i]) + 1; size <= mostMarkdownApp {
			most = i + 1
		}
	}
	left := len(lines) - most
	lines = lines[:most]
	for strings.Contains(strings.Join(lines, "\n"), marks) {
		marks += "`"
	}
	fmt.Fprintf(b, "%s%s\n%s\n%s\n", marks, language, strings.Join(lines, "\n"), marks)
	if left > 0 {
		fmt.Fprintf(b, "\n_%s left out here: `flycd plan` shows all._\n", countOf(left, "line is", "lines are"))
	}
}

// codeSpan writes a name as code. Names of apps are DNS labels; whatever else came here is kept from
// ending the span, or the cell of a table.
func codeSpan(name string) string {
	return "`" + strings.Map(func(r rune) rune {
		if r == '`' || r == '|' || r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name) + "`"
}
