package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	greetingBefore = "Hello from FlyCD"
	greetingAfter  = "Hello again"
)

// edit changes one environment variable of the first app.yaml in a folder, as a person's commit
// would: GREETING of the hello example, EDITED_BY of any other app.
func edit(dir string) error {
	file, err := firstApp(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file) //nolint:gosec // in a temporary folder of ours
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	changed := strings.Replace(string(text), greetingBefore, greetingAfter, 1)
	if changed == string(text) {
		if changed, err = withEnv(text, "EDITED_BY", "flycd local"); err != nil {
			return fmt.Errorf("change %s: %w", filepath.Base(file), err)
		}
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil { //nolint:gosec // in a temporary folder of ours
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func firstApp(dir string) (string, error) {
	found := ""
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == "app.yaml" {
			found = p
			return filepath.SkipAll
		}
		return err
	})
	if err == nil && found == "" {
		err = usage(errors.New("--once changes an app.yaml, and there is none here: leave --once out"))
	}
	return found, err
}

// withEnv sets a variable in a manifest's env.
func withEnv(text []byte, name, value string) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return "", err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return "", errors.New("expected a mapping")
	}
	env := mappingAt(doc.Content[0], "env")
	mappingAt(env, name).SetString(value)
	out, err := yaml.Marshal(&doc)
	return string(out), err
}

// mappingAt gives the value at a key of a mapping, which is made an empty mapping where it is not there.
func mappingAt(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	value := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	return value
}
