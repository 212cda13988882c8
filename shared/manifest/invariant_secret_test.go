package manifest_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/manifest"
)

// A secret is seen in no way that a value gets into a text by accident.
func TestSecretShowsItselfNowhere(t *testing.T) {
	const value = "hunter2hunter2"
	s := manifest.NewSecret(value)
	in := struct{ S manifest.Secret }{s}
	ways := map[string]func() string{
		"String":   s.String,
		"GoString": s.GoString,
		"format":   func() string { return fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s) },
		"inside":   func() string { return fmt.Sprintf("%v %+v %#v %v", in, in, in, &in) },
		"error":    func() string { return fmt.Errorf("set %v", s).Error() },
		"JSON": func() string {
			b, err := json.Marshal(in)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		},
		"YAML": func() string {
			b, err := yaml.Marshal(in)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		},
		"text log": func() string {
			var b strings.Builder
			slog.New(slog.NewTextHandler(&b, nil)).InfoContext(t.Context(), "set", "secret", s, "in", in)
			return b.String()
		},
		"JSON log": func() string {
			var b strings.Builder
			slog.New(slog.NewJSONHandler(&b, nil)).InfoContext(t.Context(), "set", "secret", s, "in", in)
			return b.String()
		},
		"log value": func() string { return s.LogValue().String() },
	}
	for name, show := range ways {
		hex := fmt.Sprintf("%x", value)
		if got := show(); strings.Contains(got, value) || strings.Contains(got, hex) || !strings.Contains(got, "secret") {
			t.Errorf("%s shows %s", name, got)
		}
	}
	if got := s.Reveal(); got != value {
		t.Errorf("reveals %q", got)
	}
}
