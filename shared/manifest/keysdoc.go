package manifest

import (
	"bytes"
	"fmt"
	"strings"
)

// KeysMarkdown gives the reference of all keys as a page of Markdown, a table for each section.
func KeysMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString("# Every key of app.yaml, app.toml and fly.toml\n\n" +
		"Made from the model by `go test ./shared/manifest -update`; `flycd help keys` shows the same. `[]` is an item of a list,\n" +
		"`<name>` a key that you choose. The last column compares with flyctl: *as flyctl*, *better* and how, *not possible* here\n" +
		"and why, or *FlyCD's own*.\n")
	table(&b, Keys())
	b.WriteString("\n# Every key of project.yaml\n\n" +
		"What is below `sync`, and in `common.app_defaults` and `common.app_overrides`, is written as in an app.yaml.\n")
	table(&b, ProjectKeys())
	return b.Bytes()
}

func table(b *bytes.Buffer, keys []Key) {
	section := ""
	for _, k := range keys {
		if s := sectionOf(k); s != section {
			section = s
			title := "`" + s + "`"
			if s == "-" {
				title = "At the top"
			}
			fmt.Fprintf(b, "\n## %s\n\n| key | value | meaning | |\n|---|---|---|---|\n", title)
		}
		like := string(k.Like)
		if k.How != "" {
			like += ": " + k.How
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.Path, cell(k.Value), cell(k.Doc), cell(like))
	}
}

// sectionOf is the first part of a path that has several, or whose value is a section.
func sectionOf(k Key) string {
	top, _, deep := strings.Cut(k.Path, ".")
	if !deep && !strings.Contains(k.Value, "section") {
		return "-"
	}
	return strings.TrimSuffix(top, "[]")
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(text)
}
