package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// fault is a problem of one text, before it is known whose text it is.
type fault struct {
	line, column int
	key, text    string
}

// parseYAML gives the root of a YAML text, with aliases and merge keys expanded. A nil root without
// faults is an empty text. Notes never make the text unusable.
func parseYAML(data []byte, lim Limits) (root *yaml.Node, faults, notes []fault) {
	doc, more, err := decodeYAML(data)
	if err != nil {
		return nil, []fault{yamlFault(data, err)}, nil
	}
	if more {
		notes = append(notes, fault{1, 1, "", "holds more than one document; only the first one counts"})
	}
	if doc == nil || len(doc.Content) == 0 {
		return nil, nil, notes
	}
	root, faults = expand(doc.Content[0], lim)
	if len(faults) == 0 && isNull(root) {
		return nil, nil, notes
	}
	return root, faults, notes
}

// readYAML is parseYAML without the comments, and quick where the text is plain.
func readYAML(data []byte, lim Limits) (root *yaml.Node, faults, notes []fault) {
	if root, ok := plainYAML(data); ok {
		root, faults = expand(root, lim)
		return root, faults, nil
	}
	root, faults, notes = parseYAML(data, lim)
	if root != nil && len(faults) == 0 {
		stripComments(root)
	}
	return root, faults, notes
}

func stripComments(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		stripComments(child)
	}
}

// decodeYAML reads the first document. The parser is foreign code that reads foreign bytes: should it
// panic, that is an error of the text.
func decodeYAML(data []byte) (doc *yaml.Node, more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("is not YAML that can be understood")
		}
	}()
	doc = new(yaml.Node)
	if !bytes.Contains(data, []byte("\n---")) && !bytes.Contains(data, []byte("\n...")) {
		if err := yaml.Unmarshal(data, doc); err != nil {
			return nil, false, fmt.Errorf("parse: %w", err)
		}
		return doc, false, nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(doc); errors.Is(err, io.EOF) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, fmt.Errorf("parse: %w", err)
	}
	return doc, !errors.Is(dec.Decode(new(yaml.Node)), io.EOF), nil
}

var yamlError = regexp.MustCompile(`(?s)yaml: (?:line (\d+): )?(.*)$`)

// yamlFault makes one sentence of the parser's complaint.
func yamlFault(data []byte, err error) fault {
	if !utf8.Valid(data) {
		return fault{1, 1, "", "is not text in UTF-8"}
	}
	line, text := 1, err.Error()
	if m := yamlError.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	if tab := tabIndent(data); tab > 0 {
		return fault{tab, 1, "", "is indented with a tab; YAML takes only spaces"}
	}
	if hint, ok := yamlHints()[text]; ok {
		text = hint
	}
	return fault{line, 1, "", "is not valid YAML: " + text}
}

// yamlHints says the parser's commonest complaints in words that help.
func yamlHints() map[string]string {
	return map[string]string{ //nolint:gosec // sentences, not credentials.
		"mapping values are not allowed in this context": "there is a second colon, or a key is indented differently from its neighbours; put text with a colon in quotes",
		"did not find expected key":                      "a line is indented differently from its neighbours, or a quote or bracket is not closed",
		"did not find expected '-' indicator":            "a line is indented differently from the list that it stands in",
		"could not find expected ':'":                    "a key has no colon after it",
		"found character that cannot start any token":    "a value begins with a character that YAML reserves (such as @, ` or %); put it in quotes",
		"found unexpected end of stream":                 "a quote or bracket is not closed",
		"did not find expected ',' or ']'":               "a [ list ] is not closed, or a comma is missing in it",
		"did not find expected ',' or '}'":               "a { mapping } is not closed, or a comma is missing in it",
	}
}

// tabIndent gives the first line that is indented with a tab, or 0.
func tabIndent(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		if rest := bytes.TrimLeft(line, " "); len(rest) > 1 && rest[0] == '\t' && len(bytes.TrimSpace(rest)) > 0 {
			return i + 1
		}
	}
	return 0
}

// extension gives the format of a file by its name: yaml, toml or neither.
func extension(name string) string {
	switch {
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		return "yaml"
	case strings.HasSuffix(name, ".toml"):
		return "toml"
	default:
		return ""
	}
}
