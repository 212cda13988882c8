package source_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/source"
)

// Whatever is in the settings, it is read or refused, and the refusal quotes nothing of it.
func FuzzKeyring(f *testing.F) {
	f.Add("github.com=ghp_0123456789,gitlab.com/acme=bob:0123456789", "github.com/acme\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "https://github.com/acme/web")
	f.Add("=,=", `-----BEGIN X-----\n-----END X-----`, "git@github.com:acme/web")
	f.Add("[::1]:80/a=b:c", "https://h/x\n", "ssh://git@[::1]:22/a")
	f.Fuzz(func(t *testing.T, tokens, keys, repo string) {
		k := &source.Keyring{}
		for text, err := range map[string]error{tokens: k.AddTokens(tokens), keys: k.AddKeys(keys)} {
			if err == nil {
				continue
			}
			for line := range strings.Lines(text) {
				_, value, _ := strings.Cut(line, "=")
				if value = strings.TrimSpace(value); len(value) > 24 && strings.Contains(err.Error(), value) {
					t.Errorf("the error quotes %q: %v", value, err)
				}
			}
		}
		c, err := k.Credential(t.Context(), repo)
		if err == nil && !c.Password.IsZero() && strings.HasPrefix(strings.ToLower(strings.TrimSpace(repo)), "ssh") {
			t.Errorf("%q got a token", repo)
		}
	})
}
