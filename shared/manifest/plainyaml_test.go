package manifest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// agree checks that the quick reading, where it does not give up, is the full parser's.
func agree(t *testing.T, data []byte) bool {
	t.Helper()
	got, ok := plainYAML(data)
	if !ok {
		return false
	}
	doc, more, err := decodeYAML(data)
	if err != nil || more || doc == nil || len(doc.Content) != 1 {
		t.Fatalf("the full parser refuses what the quick one reads: %v\n%q", err, data)
	}
	if at := differs(got, doc.Content[0]); at != "" {
		t.Fatalf("%s\n%q", at, data)
	}
	return true
}

func differs(got, want *yaml.Node) string {
	if got.Kind != want.Kind || got.Tag != want.Tag || got.Value != want.Value || got.Style != want.Style ||
		got.Line != want.Line || got.Column != want.Column || len(got.Content) != len(want.Content) {
		a, b := *got, *want
		a.Content, b.Content = nil, nil
		return strings.Join([]string{"nodes differ", dump(a), dump(b)}, "\n")
	}
	for i := range got.Content {
		if at := differs(got.Content[i], want.Content[i]); at != "" {
			return at
		}
	}
	return ""
}

func dump(n yaml.Node) string {
	return strings.Join([]string{n.Tag, n.Value, itoa(int64(n.Kind)), itoa(int64(n.Style)), itoa(int64(n.Line)), itoa(int64(n.Column))}, " ")
}

const usual = `# an app
app: web # the name
org: "acme"
primary_region: ams
extra_regions: [fra, 'arn']
source:
  type: git
  repo: https://github.com/acme/web
  ref: {branch: main}
env:
  PORT: "8080"
  LEVEL: info
  EMPTY: ""

services:
- internal_port: 8080
  protocol: tcp
  ports:
    - port: 80
      handlers: ["http"]
    - {port: 443, handlers: [tls, http]}
deploy_params:
  - --ha=false
  - "--strategy"
  - immediate
`

func TestQuickReadingIsTheFullParsers(t *testing.T) {
	if !agree(t, []byte(usual)) {
		t.Fatal("the quick reading gives up on a usual manifest")
	}
	for _, text := range odd() {
		agree(t, []byte(text))
	}
	files, err := filepath.Glob("testdata/trees/*/*/app.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, data)
	}
}

func odd() []string {
	return []string{
		"a: b\n c: d", "a:\n  b\n", "a: b: c", "a: [b, c", "a: 'it''s'", "a: \"x\\n\"", "a: |\n  x", "a: &b c\nd: *b", "a:\n- b\n- c\nd: e",
		"a:\n  - b\n - c", "a:\n - b\n   - c", "- a", "a", "a: \n", "a: ~", "a: null\nb: true\nc: 1.5\nd: 2024-01-02\ne: 0x1f\n1: 2", "a: {b: c}x", "a: [b]#c",
		"a: b #c\nd: e#f", "a: -\nb: -1\nc: - x", "a: [-1]", "a: {b: }", "a: [a: b]", "a: http://x:80/y?z=#a", "a: \"b\" # c", "? a\n: b", "<<: {a: b}",
		"a:   b   ", "a: {}\nb: []", "a: [ ]\nb: { }", "a: {b: [c, {d: e}]}", "--- \na: b", "a: b\n---\nc: d", "a: b\n...\n", "a: @b", "a: b\n\tc: d", "a: b\r\n",
		"a: x y  z", "a: [x y , z]", "a: 'b'c", "a: ['b'c]", "a:\n  b: c\n  # d\n# e\nf: g", "a:\n#b\n  c: d", "a: [a,b]", "a: [a,]", "a: {a: b,}", "a:\n  - b: c\n    d: e\n  - f",
		"a:\n  - b:\n    - c\n    d: e", "a:\n  -  b: c\n     d: e", "a: b\nb:\n  c:\n    d: e\n f: g", "a:b", "a : b", "a.b/c-d: e", "a: !x b", "a: [b\n, c]",
		"a:\n- b: c\nd: e", "a:\n- - b", "a: b]", "a: b, c", "a: {b: c]}", "a: [b}]", "a: x'y\"z", "y: n\nno: yes", "a: =\nb: ==", "=: a",
	}
}

func FuzzPlainYAML(f *testing.F) {
	f.Add([]byte(usual))
	for _, text := range odd() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

// TestQuickReadingOfRandomSigns throws texts at both parsers that are made of the signs that matter.
func TestQuickReadingOfRandomSigns(t *testing.T) {
	signs := []string{"a", "b", "a: ", "b: ", "c:", ":", " ", "  ", "    ", "\n", "\n", "\n  ", "\n    ", "- ", "-", "[", "]", "{", "}", ",", ", ", "'", "\"", "#", " # ", "x y", "1", "null", "?", "|", "&", "~", ".", "=", "/"}
	random := rand.New(rand.NewPCG(1, 2))
	rounds, read := 20_000, 0
	if n, err := strconv.Atoi(os.Getenv("FLYCD_TEST_ROUNDS")); err == nil {
		rounds = n
	}
	for range rounds {
		var b strings.Builder
		b.WriteString("a: ")
		for range random.IntN(14) {
			b.WriteString(signs[random.IntN(len(signs))])
		}
		if agree(t, []byte(b.String())) {
			read++
		}
	}
	if read < rounds/200 {
		t.Errorf("only %d of %d texts were read quickly", read, rounds)
	}
}
