package main

import (
	"fmt"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/report"
)

func update(id, group, region string, changes ...plan.Change) plan.UpdateMachine {
	config := &flygo.MachineConfig{Metadata: map[string]string{"fly_process_group": group}}
	m := &flygo.Machine{ID: id, Region: region, State: flygo.MachineStateStarted, Config: config}
	return plan.UpdateMachine{App: "shop", Machine: plan.Machine{Machine: m}, Config: config, Changes: changes}
}

func rowWith(app string, steps ...plan.Step) report.Row {
	p := plan.Plan{Stages: []plan.Stage{{Name: "rest", Parallel: 1, Steps: steps}}}
	return report.Row{App: app, Outcome: job.Updated, Counts: p.Counts(), Plan: p}
}

func TestSameChangesShareALine(t *testing.T) {
	red := plan.Change{Key: "env.COLOR", Old: "red", New: "blue"}
	other := plan.Change{Key: "env.COLOR", Old: "green", New: "blue"}
	row := rowWith("shop",
		plan.AllocateIP{App: "shop"},
		update("m1", "web", "ams", red), update("m2", "web", "ams", red), update("m3", "web", "fra", red),
		update("m4", "web", "ams", other), update("m5", "worker", "ams", red),
	)
	var b strings.Builder
	printPlanText(&b, paint{}, row)
	want := `shop  would be updated: 1 to create, 5 to change; 5 machines restart
  app
    allocate address
  group web
    update 3 machines: 2 in ams, 1 in fra, each restarts: env.COLOR: red → blue
    update machine m4 in ams, it restarts: env.COLOR: green → blue
  group worker
    update machine m5 in ams, it restarts: env.COLOR: red → blue
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestTerminalSeesColours(t *testing.T) {
	row := rowWith("shop", plan.AllocateIP{App: "shop"}, plan.ReleaseIP{App: "shop", Address: "1.2.3.4"}, update("m1", "web", "ams", plan.Change{Key: "env.A", New: "1"}))
	var b strings.Builder
	printPlanText(&b, paint{on: true}, row)
	for _, want := range []string{"\x1b[32mallocate", "\x1b[31mrelease", "\x1b[33mupdate"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in %q", want, b.String())
		}
	}
	b.Reset()
	printPlanText(&b, paint{}, row)
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("colours although nobody watches: %q", b.String())
	}
}

// TestValuesCannotMoveATerminal prints a value that holds the codes of a terminal.
func TestValuesCannotMoveATerminal(t *testing.T) {
	row := rowWith("shop", update("m1", "web", "ams", plan.Change{Key: "env.A", Old: "\x1b[2Jgone", New: "a\nb\r\u202ec"}))
	row.Notes = []string{"machine \x1b]0;x\a is left alone"}
	var b strings.Builder
	printPlanText(&b, paint{}, row)
	if strings.ContainsAny(b.String(), "\x1b\r\a\u202e") || strings.Count(b.String(), "\n") != 4 {
		t.Errorf("got %q", b.String())
	}
}

// TestMarkdownIsOnlyInOurHands draws values, names and errors: outside of code blocks and spans the text
// is what FlyCD wrote, and the whole is as short as a comment has to be.
func TestMarkdownIsOnlyInOurHands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		evil := rapid.OneOf(rapid.String(), rapid.StringMatching("[`~\n|<>@#*_a-z\\[\\]()!-]{0,40}"),
			rapid.SampledFrom([]string{"```\n# mine", "~~~", "````````", "`", "@acme/all", "<script>", "[x](y)", "| a |"}))
		var rows []report.Row
		for range rapid.IntRange(1, 6).Draw(t, "apps") {
			row := rowWith(evil.Draw(t, "app"), update(evil.Draw(t, "id"), evil.Draw(t, "group"), evil.Draw(t, "region"),
				plan.Change{Key: evil.Draw(t, "key"), Old: evil.Draw(t, "old"), New: evil.Draw(t, "new")}))
			row.Notes, row.Pending = []string{evil.Draw(t, "note")}, []string{evil.Draw(t, "pending")}
			if rapid.Bool().Draw(t, "fails") {
				row.Error = evil.Draw(t, "error") + rapid.SampledFrom([]string{"x", "\n```\n# mine", "\n````"}).Draw(t, "end")
			}
			rows = append(rows, row)
		}
		var b strings.Builder
		if err := report.Markdown(&b, rows); err != nil {
			t.Fatal(err)
		}
		for _, line := range outsideCode(t, b.String()) {
			if strings.Trim(line, " |:-0123456789abcdefghijklmnopqrstuvwxyzP#,;_.") != "" {
				t.Fatalf("a value is read as markdown: %q in\n%s", line, b.String())
			}
		}
	})
}

// outsideCode gives the lines of a markdown text without its fenced blocks and code spans, read as
// CommonMark says.
func outsideCode(t *rapid.T, text string) []string {
	var out []string
	fence := ""
	for line := range strings.SplitSeq(text, "\n") {
		marks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "" && len(marks) >= len(fence) && strings.TrimSpace(strings.TrimLeft(line, "`")) == "":
			fence = ""
		case fence != "":
		case len(marks) >= 3:
			fence = marks
		default:
			parts := strings.Split(line, "`")
			if len(parts)%2 == 0 {
				t.Fatalf("an odd number of backticks: %q", line)
			}
			for i := 0; i < len(parts); i += 2 {
				out = append(out, parts[i])
			}
		}
	}
	if fence != "" {
		t.Fatalf("a code block is never closed:\n%s", text)
	}
	return out
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	var rows []report.Row
	for i := range 400 {
		var steps []plan.Step
		for m := range 20 {
			steps = append(steps, update(fmt.Sprintf("m%d", m), "web", "ams", plan.Change{Key: fmt.Sprintf("env.V%d", m), Old: strings.Repeat("ö", 200), New: "x"}))
		}
		rows = append(rows, rowWith(fmt.Sprintf("app-%d", i), steps...))
	}
	var b strings.Builder
	if err := report.Markdown(&b, rows); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 65_000 {
		t.Errorf("%d bytes", b.Len())
	}
	for _, want := range []string{"and 200 more apps", "apps are left out here", "`app-0`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q", want)
		}
	}

	b.Reset()
	long := rowWith("shop", update("m1", "web", "ams", plan.Change{Key: "env.A", Old: "1", New: "2"}), update("m2", "web", "ams", plan.Change{Key: "env.A", New: strings.Repeat("x", 20_000)}))
	if err := report.Markdown(&b, []report.Row{long}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "1 line is left out here") || !strings.Contains(b.String(), "env.A: 1 → 2") {
		t.Errorf("got:\n%s", b.String())
	}
}

func TestValuesForgeNoLine(t *testing.T) {
	var b strings.Builder
	row := rowWith("shop", update("m1", "web", "ams", plan.Change{Key: "env.A", Old: "1", New: "2\n+ create machine forged"}))
	if err := report.Markdown(&b, []report.Row{row}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\n+ create") || !strings.Contains(b.String(), "forged") {
		t.Errorf("got:\n%s", b.String())
	}
}
