package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// encrypted reports whether a setting holds what `sops encrypt --input-type binary` made of a file.
func encrypted(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), "{") && strings.Contains(text, `"sops"`) && strings.Contains(text, "ENC[")
}

// opened gives the configuration with the Git keys and tokens in the clear that sops encrypted: they are in this process's
// memory, and nowhere else.
func (c config) opened(ctx context.Context, r secret.Resolver) (config, error) {
	for _, f := range []struct {
		name  string
		value *string
	}{{"FLYCD_GIT_KEYS", &c.GitKeys}, {"FLYCD_GIT_TOKENS", &c.GitTokens}} {
		if !encrypted(*f.value) {
			continue
		}
		const file = "git.sops.json"
		app := &manifest.App{Secrets: []manifest.SecretRef{{Name: f.name, Type: "sops", File: file, Key: "data"}}}
		found, err := r.Resolve(ctx, app, map[string][]byte{file: []byte(*f.value)})
		if err != nil {
			return c, fmt.Errorf("open %s: %w", f.name, err)
		}
		*f.value = found[f.name].Reveal()
	}
	return c, nil
}
