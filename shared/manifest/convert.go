package manifest

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"
)

// SchemaURL is where the schema of app.yaml is published; converted files name it, so that editors
// that know the yaml-language-server comment complete and check them.
const SchemaURL = "https://raw.githubusercontent.com/gigurra/flycd/main/shared/manifest/app.schema.json"

const editorComment = "# yaml-language-server: $schema="

// ToYAML gives a TOML manifest as YAML, with the same keys in the same order and with its comments. It
// does not check what the keys mean. The error is a Problems that names the file.
func ToYAML(name string, data []byte) ([]byte, error) {
	root, faults := parseTOML(data, Limits{}.orDefault())
	if len(faults) > 0 {
		return nil, namedFaults(name, faults)
	}
	out := []byte(editorComment + SchemaURL + "\n")
	if len(root.Content) == 0 {
		return append(out, []byte(commentLines(root.FootComment)+"{}\n")...), nil
	}
	settleComments(root)
	text, err := encodeYAML(root)
	if err != nil {
		return nil, err
	}
	return append(out, text...), nil
}

// ToTOML gives a YAML manifest as TOML, with its comments, and with the same keys in the same order
// except that TOML wants the keys of a table before its inner tables. Aliases are written out, and keys
// without a value, which TOML cannot express, are left out. The error is a Problems that names the file.
func ToTOML(name string, data []byte) ([]byte, error) {
	root, faults, _ := parseYAML(data, Limits{}.orDefault())
	if len(faults) > 0 {
		return nil, namedFaults(name, faults)
	}
	if root == nil {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, namedFaults(name, []fault{{1, 1, "", "expected keys and values (app: my-app), found " + describe(root)}})
	}
	w := &tomlWriter{}
	w.table(nil, root)
	w.comment(root.FootComment)
	return bytes.TrimLeft(w.out.Bytes(), "\n"), nil
}

func namedFaults(name string, faults []fault) Problems {
	ps := make(Problems, len(faults))
	for i, f := range faults {
		ps[i] = Problem{File: name, Line: f.line, Column: f.column, Key: f.key, Text: f.text}
	}
	return ps.settled()
}

// settleComments puts comments where a YAML writer can write them: the comment on a key's own line goes
// to its value, or above the key where the value begins on the next line.
func settleComments(n *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.LineComment == "" {
			continue
		}
		if v.Kind == yaml.ScalarNode && !strings.Contains(v.Value, "\n") || v.Kind != yaml.ScalarNode && v.Style&yaml.FlowStyle != 0 {
			v.LineComment = k.LineComment
		} else {
			k.HeadComment = strings.TrimLeft(k.HeadComment+"\n"+k.LineComment, "\n")
		}
		k.LineComment = ""
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		if n.Style&yaml.FlowStyle != 0 {
			child.HeadComment, child.LineComment, child.FootComment = "", "", ""
		}
		settleComments(child)
	}
	if n.FootComment != "" && n.Kind == yaml.MappingNode && len(n.Content) > 1 {
		n.Content[len(n.Content)-2].FootComment = n.FootComment
		n.FootComment = ""
	}
}

// commentLines gives a comment as lines, without the one that is for editors.
func commentLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, editorComment) {
			continue
		}
		if !strings.HasPrefix(line, "#") {
			line = "# " + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
