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

//nolint:gochecknoglobals // a constant regular expression.
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
	return map[string]string{
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

// expander replaces aliases by what they stand for and applies merge keys. Aliases share their
// target's node, so that the result is small in memory; its size when written out is bounded.
type expander struct {
	lim     Limits
	aliases int
	faults  []fault
	known   map[*yaml.Node]extent
}

// extent is how large a node is when all aliases are written out.
type extent struct {
	size, depth int
	open        bool
	node        *yaml.Node
}

// maxNodes bounds an expanded file: more than a file of the largest size can hold without aliases.
func (l Limits) maxNodes() int { return int(l.FileBytes) }

func expand(n *yaml.Node, lim Limits) (*yaml.Node, []fault) {
	x := expander{lim: lim}
	out, e := x.node(n, 1)
	if len(x.faults) == 0 && e.size > lim.maxNodes() {
		x.fail(n, "grows beyond %d values through its aliases; write it with fewer", lim.maxNodes())
	}
	if len(x.faults) == 0 && e.depth > lim.Depth {
		x.fail(n, "is nested deeper than %d levels through its aliases", lim.Depth)
	}
	return out, x.faults
}

func (x *expander) fail(n *yaml.Node, format string, args ...any) {
	if len(x.faults) < 100 {
		x.faults = append(x.faults, fault{n.Line, n.Column, "", fmt.Sprintf(format, args...)})
	}
}

func (x *expander) node(n *yaml.Node, depth int) (*yaml.Node, extent) {
	if depth > x.lim.Depth {
		x.fail(n, "is nested deeper than %d levels", x.lim.Depth)
		return n, extent{}
	}
	if n.Kind == yaml.AliasNode {
		return x.alias(n, depth)
	}
	if n.Anchor == "" {
		return x.inside(n, depth)
	}
	if e, ok := x.known[n]; ok {
		if e.open {
			x.fail(n, "the anchor &%s contains itself", clip(n.Anchor))
		}
		return e.node, e
	}
	if x.known == nil {
		x.known = map[*yaml.Node]extent{}
	}
	x.known[n] = extent{open: true, node: n}
	out, e := x.inside(n, depth)
	e.node = out
	x.known[n] = e
	return out, e
}

func (x *expander) alias(n *yaml.Node, depth int) (*yaml.Node, extent) {
	x.aliases++
	if x.aliases > x.lim.Aliases {
		if x.aliases == x.lim.Aliases+1 {
			x.fail(n, "uses more than %d aliases", x.lim.Aliases)
		}
		return n, extent{}
	}
	out, e := x.node(n.Alias, depth)
	if out.Anchor != "" {
		plain := *out
		plain.Anchor, plain.HeadComment, plain.LineComment, plain.FootComment = "", "", "", ""
		out = &plain
	}
	return out, e
}

// inside expands what a node holds.
func (x *expander) inside(n *yaml.Node, depth int) (*yaml.Node, extent) {
	e := extent{size: 1, depth: 1}
	merges := false
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		if isKey && child.Kind == yaml.ScalarNode {
			merges = merges || child.Tag == tagMerge
			continue
		}
		out, ce := x.node(child, depth+1)
		n.Content[i] = out
		if isKey && out.Kind != yaml.ScalarNode {
			x.fail(child, "expected text as a key, found %s", describe(out))
		}
		e.size, e.depth = min(e.size+ce.size, 1<<40), max(e.depth, ce.depth+1)
	}
	if n.Kind != yaml.MappingNode || len(x.faults) > 0 {
		return n, e
	}
	x.twice(n)
	if merges {
		x.merge(n)
	}
	return n, e
}

// twice finds keys that are written twice.
func (x *expander) twice(n *yaml.Node) {
	var seen map[string]*yaml.Node
	if len(n.Content) > 32 {
		seen = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		first := seen[k.Value]
		for j := 0; seen == nil && j < i && first == nil; j += 2 {
			if n.Content[j].Value == k.Value {
				first = n.Content[j]
			}
		}
		if seen != nil && first == nil {
			seen[k.Value] = k
		}
		if first != nil && k.Tag != tagMerge {
			x.faults = append(x.faults, fault{k.Line, k.Column, k.Value, fmt.Sprintf("is written twice; the first is on line %d", first.Line)})
		}
	}
}

// merge applies the << keys of a mapping: what is written beside them wins, and the first of several.
func (x *expander) merge(n *yaml.Node) {
	var own, merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag != tagMerge {
			own = append(own, k, v)
			continue
		}
		sources := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		for _, s := range sources {
			if s.Kind != yaml.MappingNode {
				x.fail(k, "expected keys and values after <<, found %s", describe(s))
				continue
			}
			merged = append(merged, s.Content...)
		}
	}
	have := make(map[string]bool, len(own)/2)
	for i := 0; i < len(own); i += 2 {
		have[own[i].Value] = true
	}
	for i := 0; i+1 < len(merged); i += 2 {
		if !have[merged[i].Value] {
			have[merged[i].Value] = true
			own = append(own, merged[i], merged[i+1])
		}
	}
	n.Content = own
}

// stripAnchors forgets the anchors of an expanded tree, for writing it out, and writes nulls as such.
func stripAnchors(n *yaml.Node) *yaml.Node {
	out := *n
	out.Anchor = ""
	if isNull(n) {
		out.Value = "null"
	}
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		out.Content[i] = stripAnchors(child)
	}
	return &out
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
