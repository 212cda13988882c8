package adopt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/manifest"
)

// order is that of a manifest's keys, for people: what it is, where it runs, how it runs. Keys that
// are not here follow in the order of their names.
func order() []string {
	return []string{
		"app", "name", "type", "guest_path", "url_prefix", "hostname", "v", "policy", "every", "command",
		"org", "primary_region", "extra_regions", "source", "image", "ha", "machines", "count", "count_per_region",
		"processes", "protocol", "internal_port", "port", "start_port", "end_port", "handlers", "force_https",
		"auto_stop_machines", "auto_start_machines", "min_machines_running", "size", "memory", "cpu_kind", "cpus", "memory_mb", "size_gb",
		"env", "deploy", "kill_signal", "kill_timeout", "swap_size_mb", "console_command", "experimental", "machine_config", "container",
		"http_service", "services", "ports", "concurrency", "soft_limit", "hard_limit", "checks", "tcp_checks", "http_checks",
		"method", "path", "interval", "timeout", "grace_period",
		"mounts", "destination", "volumes", "files", "statics", "metrics", "vm", "restart", "schedules", "network", "certs",
	}
}

// text writes the manifest.
func (c *composition) text() ([]byte, error) {
	root := c.node(c.doc)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "source" {
			root.Content[i].HeadComment = "# The image that runs. To build it from now on: {type: git, repo: …}, or {type: local}."
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# yaml-language-server: $schema=%s\n%s", manifest.SchemaURL, c.head())
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	b.WriteString(c.foot())
	return b.Bytes(), nil
}

func (c *composition) node(v any) *yaml.Node {
	switch v := v.(type) {
	case object:
		return c.mapping(v)
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range v {
			n.Content = append(n.Content, c.node(item))
		}
		if flat(n) {
			n.Style = yaml.FlowStyle
		}
		return n
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		switch {
		case plainLines(v):
			n.Style = yaml.LiteralStyle
		case strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }):
			n.Style = yaml.DoubleQuotedStyle
		case slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(v)):
			n.Style = yaml.DoubleQuotedStyle // older readers of YAML take these for true and false
		}
		return n
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

func (c *composition) mapping(o object) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	known := order()
	keys := slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		return cmp.Or(rank(known, a)-rank(known, b), strings.Compare(a, b))
	})
	for _, key := range keys {
		n.Content = append(n.Content, c.node(key), c.node(o[key]))
	}
	return n
}

func rank(known []string, key string) int {
	if i := slices.Index(known, key); i >= 0 {
		return i
	}
	return len(known)
}

// plainLines is true of a text of several lines that looks the same as a block.
func plainLines(text string) bool {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) == 1 && !strings.HasSuffix(text, "\n") || lines[0] == "" || lines[len(lines)-1] == "" || strings.ContainsAny(lines[0][:1], " \t") {
		return false
	}
	return !slices.ContainsFunc(lines, func(line string) bool {
		return strings.TrimRight(line, " \t") != line || strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) })
	})
}

// flat is true of lists of words.
func flat(n *yaml.Node) bool {
	return !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool {
		return item.Kind != yaml.ScalarNode || item.Style == yaml.LiteralStyle
	})
}
