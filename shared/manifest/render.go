package manifest

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// YAML gives the effective manifest as a YAML text. Raw secrets are replaced by [secret].
func (e Entry) YAML() ([]byte, error) {
	return encodeYAML(firstKey(stripAnchors(e.Node), "app"))
}

// JSON gives the effective manifest as maps, slices and scalars for encoding/json. Raw secrets are
// replaced by [secret].
func (e Entry) JSON() map[string]any {
	m, _ := valueOf(e.Node).(map[string]any)
	return m
}

func encodeYAML(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b.Bytes(), nil
}

// firstKey moves a key to the front of a mapping.
func firstKey(n *yaml.Node, key string) *yaml.Node {
	at := indexOf(n, key)
	if at <= 0 {
		return n
	}
	pair := []*yaml.Node{n.Content[at], n.Content[at+1]}
	rest := append(append([]*yaml.Node(nil), n.Content[:at]...), n.Content[at+2:]...)
	n.Content = append(pair, rest...)
	return n
}
