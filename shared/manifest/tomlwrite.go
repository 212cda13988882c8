package manifest

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"gopkg.in/yaml.v3"
)

// tomlWriter writes a tree of nodes without aliases as TOML.
type tomlWriter struct{ out bytes.Buffer }

// table writes the values of a mapping, then its inner tables.
func (w *tomlWriter) table(path []string, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k, v := n.Content[i], n.Content[i+1]; !isTable(v) && !isNull(v) {
			w.comment(k.HeadComment)
			w.out.WriteString(tomlKey(k.Value) + " = ")
			w.inline(v)
			w.line(k.LineComment, v.LineComment)
			w.comment(k.FootComment)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !isTable(v) {
			continue
		}
		inner := append(path[:len(path):len(path)], tomlKey(k.Value))
		if v.Kind == yaml.MappingNode {
			w.header("["+strings.Join(inner, ".")+"]", k.HeadComment, k.LineComment, v.HeadComment)
			w.table(inner, v)
		} else {
			w.comment(k.HeadComment)
			for _, item := range v.Content {
				w.header("[["+strings.Join(inner, ".")+"]]", item.HeadComment, item.LineComment, "")
				w.table(inner, item)
			}
		}
		w.comment(k.FootComment)
	}
}

// isTable reports whether a value is written under a header of its own.
func isTable(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode {
		return true
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return false
	}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode {
			return false
		}
	}
	return true
}

func (w *tomlWriter) header(header, above, beside, inside string) {
	w.out.WriteString("\n")
	w.comment(above)
	w.out.WriteString(header)
	w.line(beside, "")
	w.comment(inside)
}

// comment writes comment lines.
func (w *tomlWriter) comment(text string) {
	if text != "" {
		w.out.WriteString(commentLines(text))
	}
}

// line ends a line, with the comment that stands on it.
func (w *tomlWriter) line(comments ...string) {
	for _, c := range comments {
		if text := strings.TrimSpace(strings.ReplaceAll(commentLines(c), "\n", " ")); text != "" {
			w.out.WriteString(" " + text)
		}
	}
	w.out.WriteString("\n")
}

// inline writes a value on the line of its key. A list with comments takes a line for each item.
func (w *tomlWriter) inline(n *yaml.Node) {
	switch n.Kind { //nolint:exhaustive // all others are scalars.
	case yaml.SequenceNode:
		w.list(n)
	case yaml.MappingNode:
		w.out.WriteString("{")
		sep := " "
		for i := 0; i+1 < len(n.Content); i += 2 {
			if isNull(n.Content[i+1]) {
				continue
			}
			w.out.WriteString(sep + tomlKey(n.Content[i].Value) + " = ")
			w.inline(n.Content[i+1])
			sep = ", "
		}
		w.out.WriteString(" }")
	default:
		w.out.WriteString(tomlValue(n))
	}
}

func (w *tomlWriter) list(n *yaml.Node) {
	long := false
	for _, item := range n.Content {
		long = long || item.HeadComment+item.LineComment+item.FootComment != ""
	}
	w.out.WriteString("[")
	sep := ""
	for _, item := range n.Content {
		if isNull(item) {
			continue
		}
		if long {
			w.out.WriteString("\n")
			w.comment(item.HeadComment)
			w.out.WriteString("  ")
			w.inline(item)
			w.out.WriteString(",")
			if item.LineComment != "" {
				w.out.WriteString(" " + strings.TrimSpace(strings.ReplaceAll(commentLines(item.LineComment), "\n", " ")))
			}
			if item.FootComment != "" {
				w.out.WriteString("\n" + strings.TrimSpace(commentLines(item.FootComment)))
			}
			continue
		}
		w.out.WriteString(sep)
		w.inline(item)
		sep = ", "
	}
	if long {
		w.out.WriteString("\n")
	}
	w.out.WriteString("]")
}

// tomlKey writes a key, in quotes where it needs them.
func tomlKey(key string) string {
	for _, c := range []byte(key) {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return tomlString(key)
		}
	}
	if key == "" {
		return `""`
	}
	return key
}

func tomlValue(n *yaml.Node) string {
	switch x := scalarValue(n).(type) {
	case bool:
		return strconv.FormatBool(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return tomlFloat(x)
	}
	if n.Tag == tagTime {
		var probe map[string]any
		if toml.Unmarshal([]byte("x = "+n.Value), &probe) == nil {
			return n.Value
		}
	}
	if strings.Contains(n.Value, "\n") {
		return tomlText(n.Value)
	}
	return tomlString(n.Value)
}

func tomlFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// tomlString writes a text on one line.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		writeTOMLRune(&b, r)
	}
	b.WriteByte('"')
	return b.String()
}

// tomlText writes a text of several lines.
func tomlText(s string) string {
	var b strings.Builder
	b.WriteString("\"\"\"\n")
	for i, r := range s {
		switch {
		case r == '\n':
			b.WriteByte('\n')
		case r == '"' && i+1 < len(s) && s[i+1] != '"':
			b.WriteByte('"')
		default:
			writeTOMLRune(&b, r)
		}
	}
	b.WriteString("\"\"\"")
	return b.String()
}

func writeTOMLRune(b *strings.Builder, r rune) {
	switch r {
	case '"', '\\':
		b.WriteByte('\\')
		b.WriteRune(r)
	case '\n':
		b.WriteString(`\n`)
	case '\t':
		b.WriteString(`\t`)
	case '\r':
		b.WriteString(`\r`)
	default:
		if r < 0x20 || r == 0x7f {
			fmt.Fprintf(b, `\u%04x`, r)
			return
		}
		b.WriteRune(r)
	}
}
