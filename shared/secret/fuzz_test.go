package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
)

const hidden = "Hidden7Value"

// FuzzKey looks for any key in a file of values that no error may tell.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"a", "a.b", "a.b.0", "a.b.9", "a..b", "..", "", "c.d", "c", "n", "-1", "a.b.-1", "a.b.99999999999999999999"} {
		f.Add(key)
	}
	text := fmt.Sprintf(`{"a":{"b":["%[1]s",{"x":"%[1]s"}]},"c.d":"%[1]s","c":{"d":true},"n":null,"e":{}}`, hidden)
	f.Fuzz(func(t *testing.T, key string) {
		for _, format := range []string{"yaml", "json", "dotenv", "ini"} {
			c, err := read(format, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.at(manifest.SecretRef{Name: "NAME", Key: key}); err != nil && strings.Contains(err.Error(), hidden) {
				t.Errorf("%q: %v", key, err)
			}
		}
	})
}

// FuzzContents reads anything as what sops gives.
func FuzzContents(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1}`, `{"a":[1,{"b":1e999}]}`, `[]`, `null`, `"x"`, `{"a":`, `{"DEFAULT":{"a":"x"}}`} {
		f.Add([]byte(text), "a")
	}
	f.Fuzz(func(t *testing.T, text []byte, key string) {
		for _, format := range []string{"ini", "json", "binary"} {
			c, err := read(format, text)
			if err != nil {
				continue
			}
			value, err := c.at(manifest.SecretRef{Name: "a", Key: key})
			if err == nil && format != "binary" && key != "" && !json.Valid(text) && value != "" {
				t.Errorf("%q: found %q in what is no JSON", text, value)
			}
		}
	})
}

// FuzzSopsTalk explains whatever sops says, and repeats nothing of it but public keys.
func FuzzSopsTalk(f *testing.F) {
	f.Add(128, "Group 0: FAILED\n  age1qqqqqqqqqqqqqqqqqqqqqq: FAILED\n    - | failed")
	f.Add(128, "failed to parse\n | 'SOPS_AGE_KEY")
	f.Add(1, "sops metadata not found")
	f.Add(1, "Could not unmarshal input data: "+hidden)
	f.Add(7, "something new")
	f.Add(51, "MAC mismatch. File has "+hidden)
	f.Fuzz(func(t *testing.T, code int, talk string) {
		said := explain(code, talk+"\n"+hidden+": FAILED\n"+hidden, "yaml", code%2 == 0).Error()
		if strings.Contains(said, hidden) || said == "" || len(said) > 2000 {
			t.Errorf("%d %q: %s", code, talk, said)
		}
	})
}

// FuzzKeyRing reads anything as PGP keys.
func FuzzKeyRing(f *testing.F) {
	f.Add("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlFgEZ0Hidden7Value\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n", "pw")
	f.Add("-----BEGIN PGP"+hidden, "")
	f.Add(hidden, hidden)
	f.Fuzz(func(t *testing.T, armored, passphrase string) {
		_, err := keyRing(manifest.NewSecret(armored+hidden), manifest.NewSecret(passphrase+hidden))
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Error(err)
		}
	})
}
