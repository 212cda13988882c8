package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/manifest"
)

// anyTree draws a tree of values that both formats can hold.
func anyTree() *rapid.Generator[map[string]any] {
	text := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9_-]{1,8}`),
		rapid.SampledFrom([]string{"", " ", "no", "on", "1", "1.5", "null", "~", "2024-01-02", "a\nb", "\n", "a\n\n", " a\n b", "\ta", "a\tb\n", "\"", "\"\"\"", "'", "\\", "a: b", "# c", "a # c", "é☃", "\"\"\"\n", "x\"\n\"", "\r\n", "a\r\nb", "{", "- a", "*a", "&a", "!a", "\u0085", "\u2028", "\x7f", "end\"", "<<", "=", "0o17", "0x1f", "1_000", ".inf", "true"}),
		rapid.String(),
	)
	var value *rapid.Generator[any]
	leaf := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int64(), func(i int64) any { return i }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
	)
	value = leaf
	for range 3 {
		inner := value
		value = rapid.OneOf(leaf,
			rapid.Map(rapid.SliceOfN(inner, 0, 3), func(s []any) any { return s }),
			rapid.Map(rapid.MapOfN(text, inner, 0, 3), func(m map[string]any) any { return m }),
		)
	}
	return rapid.MapOfN(text, value, 1, 4)
}

func TestAnyTreeSurvivesConversion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyTree().Draw(t, "tree")
		text, err := yaml.Marshal(want)
		if err != nil {
			return
		}
		var check map[string]any
		if yaml.Unmarshal(text, &check) != nil || !cmp.Equal(want, check, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), numbers()) {
			return
		}
		asTOML, err := manifest.ToTOML("app.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		got := map[string]any{}
		if err := toml.Unmarshal(asTOML, &got); err != nil {
			t.Fatalf("%v\n%s", err, asTOML)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), numbers()); diff != "" {
			t.Fatalf("TOML (-want +got):\n%s\n%s", diff, asTOML)
		}
		back, err := manifest.ToYAML("fly.toml", asTOML)
		if err != nil {
			t.Fatalf("%v\n%s", err, asTOML)
		}
		got = map[string]any{}
		if err := yaml.Unmarshal(back, &got); err != nil {
			t.Fatalf("%v\n%s", err, back)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), numbers()); diff != "" {
			t.Fatalf("YAML (-want +got):\n%s\n%s", diff, back)
		}
	})
}

// numbers compares whole numbers of any type.
func numbers() cmp.Option {
	return cmp.FilterValues(func(a, b any) bool { return whole(a) && whole(b) }, cmp.Transformer("whole", func(v any) float64 {
		switch x := v.(type) {
		case int:
			return float64(x)
		case int64:
			return float64(x)
		case uint64:
			return float64(x)
		case float64:
			return x
		default:
			return 0
		}
	}))
}

func whole(v any) bool {
	switch v.(type) {
	case int, int64, uint64, float64:
		return true
	default:
		return false
	}
}
