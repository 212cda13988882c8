package machine_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// row is one key of the reference: what may be written for it, where that lands, and what may not be
// written. Spellings stand between |, and all of them land alike.
type row struct {
	key   string
	write string
	// lands is where, in the JSON of what came of it: config (of the first group's machines), groups.<name>,
	// release, seed, check (the first machine check), schedule, target, definition, or app, which is the manifest
	// as it was understood.
	lands string
	want  string
	// bad are values and what is said of them: value ⇒ sentence, between ¦.
	bad string
	// with are further lines of the manifest.
	with string
}

func rows() []row {
	var all []row
	for _, some := range [][]row{appRows(), ownRows(), serviceRows(), groupRows()} {
		all = append(all, some...)
	}
	return all
}

// TestEveryKeyLandsWhereItShould writes each key alone, in every spelling.
func TestEveryKeyLandsWhereItShould(t *testing.T) {
	for _, r := range rows() {
		for write := range strings.SplitSeq(r.write, "|") {
			t.Run(r.key+"="+strings.TrimSpace(write), func(t *testing.T) {
				world, err := worldOf(t, manifestWith(t, r, write))
				if err != nil {
					t.Fatal(err)
				}
				want := r.want
				if want == "" {
					want = strings.TrimSpace(strings.Split(r.write, "|")[0])
				}
				if got := text(t, at(t, world, r.lands)); got != want && got != strconv.Quote(want) {
					t.Errorf("%s is %s, want %s", r.lands, got, want)
				}
			})
		}
	}
}

// TestBadValuesOfEveryKeyHaveTheirSentence writes what may not be written.
func TestBadValuesOfEveryKeyHaveTheirSentence(t *testing.T) {
	for _, r := range rows() {
		for bad := range strings.SplitSeq(r.bad, "¦") {
			value, sentence, ok := strings.Cut(bad, "⇒")
			if !ok {
				continue
			}
			t.Run(r.key+"="+strings.TrimSpace(value), func(t *testing.T) {
				_, err := worldOf(t, manifestWith(t, r, value))
				if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(sentence)) {
					t.Errorf("got %v\nwant %s", err, sentence)
				}
			})
		}
	}
}

// TestValuesOfAnotherKindAreRefused writes, for every key of the reference, a value of a kind that it
// cannot have; the sentence names the file, the line and the key, and what was expected.
func TestValuesOfAnotherKindAreRefused(t *testing.T) {
	for _, k := range manifest.Keys() {
		wrong := wrongKind(k.Value)
		data := manifestWith(t, row{key: k.Path}, wrong)
		_, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: data}}, ".", manifest.Options{})
		if err == nil {
			t.Errorf("%s: %s is accepted", k.Path, wrong)
			continue
		}
		key := strings.NewReplacer("[]", "[0]", "<name>", "x", "<group>", "app").Replace(k.Path)
		says := regexp.MustCompile(`app\.yaml:\d+:\d+: ` + regexp.QuoteMeta(strings.TrimSuffix(strings.TrimSuffix(key, ".x"), "[0]")) + `[^ ]*: (expected|is missing|unknown)`)
		if !says.MatchString(err.Error()) {
			t.Errorf("%s: %s gives %v", k.Path, wrong, err)
		}
	}
}

func wrongKind(form string) string {
	for prefix, wrong := range map[string]string{
		"text": "{a: b}", "true": "maybe", "whole": "many", "at least": "many", "a number": "many", "number": "many", "time": "soon",
		"list of sections": "3", "list of texts, or": "{a: b}", "section": "3", "sections by name": "3", "names": "3",
	} {
		if strings.HasPrefix(form, prefix) && (prefix != "section" || !strings.HasPrefix(form, "sections")) {
			return wrong
		}
	}
	if strings.HasPrefix(form, "list of texts") {
		return "3"
	}
	return "nonsense"
}

// TestTheTableHasEveryKey holds the table to the reference, which is made from the model.
func TestTheTableHasEveryKey(t *testing.T) {
	inTable := map[string]bool{}
	for _, r := range rows() {
		inTable[r.key] = true
	}
	known := map[string]bool{}
	for _, k := range manifest.Keys() {
		known[k.Path] = true
		if !inTable[k.Path] && !isSection(k) {
			t.Errorf("%s is not in the table", k.Path)
		}
	}
	for key := range inTable {
		if !known[key] {
			t.Errorf("%s is in the table and no key", key)
		}
	}
}

// isSection is true of what only holds other keys.
func isSection(k manifest.Key) bool {
	return strings.Contains(k.Value, "section") && !strings.Contains(k.Value, "soft,hard")
}

// siblings are what the sections of the reference cannot be without.
func siblings(path string) string {
	return map[string]string{
		"source": "{type: git, repo: 'https://x.org/y'}", "http_service": "{internal_port: 8080}",
		"services[]": "{protocol: tcp, internal_port: 9000, ports: [{port: 5000}]}", "services[].ports[]": "{port: 5000}",
		"mounts[]": "{source: data, destination: /data}", "checks.<name>": "{type: http, port: 1}", "statics[]": "{guest_path: /p, url_prefix: /u}",
		"files[]": "{guest_path: /f}", "restart[]": "{policy: always}", "machine_checks[]": "{command: [c]}", "http_service.machine_checks[]": "{command: [c]}",
		"services[].machine_checks[]": "{command: [c]}", "schedules[]": "{name: nightly, command: c, every: daily}", "secrets[]": "{name: S, type: env}",
		"addons[]": "{type: redis}", "verify[]": "{url: 'https://x.org'}", "sync.windows[]": "{kind: deny, schedule: '@daily', duration: 1h}",
		"network.ips[]": "{v: v6}", "volumes[]": "{name: data}", "deploy": "{release_command: r, seed_command: s}",
	}[path]
}

// manifestWith gives a manifest that says one thing, beside what it cannot be without.
func manifestWith(t *testing.T, r row, value string) []byte {
	t.Helper()
	root := map[string]any{}
	decode(t, "app: shop\n"+r.with, &root)
	var v yaml.Node
	decode(t, value, &v)
	put(t, root, "", r.key, v.Content[0])
	data, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// put writes a value at a path of the reference, making what lies above it.
func put(t *testing.T, m map[string]any, above, path string, value any) {
	t.Helper()
	head, rest, deep := strings.Cut(path, ".")
	name, isList := strings.CutSuffix(head, "[]")
	at := strings.TrimPrefix(above+"."+head, ".")
	switch name {
	case "<name>":
		name = "x"
	case "<group>":
		name = "app"
	}
	if !deep {
		m[name] = value
		return
	}
	var inner map[string]any
	switch have := m[name].(type) {
	case map[string]any:
		inner = have
	case []any:
		inner, _ = have[0].(map[string]any)
	default:
		inner = map[string]any{}
		if text := siblings(at); text != "" {
			decode(t, text, &inner)
		}
	}
	put(t, inner, at, rest, value)
	m[name] = inner
	if isList {
		m[name] = []any{inner}
	}
}

// worldOf gives all that comes of a manifest as one JSON value.
func worldOf(t *testing.T, data []byte) (any, error) {
	t.Helper()
	tree, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: data}}, ".", manifest.Options{})
	if err != nil {
		return nil, err
	}
	app := tree.Apps[0].App
	target, err := machine.Translate(app, machine.Inputs{Files: map[string][]byte{
		"f": []byte("F"), "m.json": []byte(`{"dns":{"hostname":"h"}}`), "c.yml": []byte("services: {web: {build: .}}"),
	}})
	if err != nil {
		return nil, err
	}
	world := map[string]any{"app": app, "target": target, "definition": definition(t, app, target)}
	groups := map[string]any{}
	for i, g := range target.Groups {
		groups[g.Name] = plain(t, g.Config)
		if i == 0 {
			world["config"] = groups[g.Name]
		}
	}
	world["groups"] = groups
	if target.ReleaseCommand != nil {
		world["release"] = plain(t, target.ReleaseCommand)
	}
	if target.SeedCommand != nil {
		world["seed"] = plain(t, target.SeedCommand)
	}
	if len(target.Checks) > 0 {
		world["check"] = plain(t, target.Checks[0].Config)
	}
	if len(target.Schedules) > 0 {
		world["schedule"] = plain(t, target.Schedules[0].Config)
	}
	var out any
	if err := json.Unmarshal([]byte(text(t, world)), &out); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

// at looks up a dotted path; numbers are places in a list. What is not there is null.
func at(t *testing.T, v any, path string) any {
	t.Helper()
	for part := range strings.SplitSeq(path, ".") {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(inner) {
				t.Fatalf("%s: there is no %s in %s", path, part, fmt.Sprint(inner))
			}
			v = inner[i]
		default:
			return nil
		}
	}
	return v
}
