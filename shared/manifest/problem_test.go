package manifest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

// lines gives what is wrong with a tree, a line each.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestEveryMistakeHasItsPlaceAndWhatWouldBeRight(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1: is empty; it needs at least the name of the app (app: my-app)"},
		{"# nothing\n", "1:1: is empty; it needs at least the name of the app (app: my-app)"},
		{"[a]", "1:1: expected keys and values (app: my-app), found a list"},
		{"org: x", "1:1: app: is missing; say what the app is called on Fly (app: my-app)"},
		{"app: My_App", `1:6: app: expected a name of small letters, digits and dashes, at most 63, found "My_App"`},
		{"app: a\nhttp_servce: {}", `2:1: http_servce: unknown key; did you mean "http_service"?`},
		{"app: a\nqwertzuiop: {}", "2:1: qwertzuiop: unknown key"},
		{"app: a\nhttp_service:\n  internal_prot: 1", `3:3: http_service.internal_prot: unknown key; did you mean "internal_port"?`},
		{"app: a\nhttp_service:\n  internal_port: \"8080\"", `3:18: http_service.internal_port: expected a whole number, found "8080"; write it without quotes`},
		{"app: a\nhttp_service: {internal_port: 70000}", "2:31: http_service.internal_port: expected a number from 0 to 65535, found 70000"},
		{"app: a\nservices: [{ports: [{port: http}]}]", `2:28: services[0].ports[0].port: expected a whole number, found "http"`},
		{"app: a\nservices: 3", "2:11: services[0]: expected keys and values, found a number"},
		{"app: a\nextra_regions: ams", "2:16: extra_regions: expected a list, found text"},
		{"app: a\nenv: {A: [1]}", "2:10: env.A: expected text, found a list"},
		{"app: a\nsecrets_prune: maybe", `2:16: secrets_prune: expected true or false, found "maybe"`},
		{"app: a\nkill_timeout: soon", `2:15: kill_timeout: expected a duration such as 30s or 1m30s, found "soon"`},
		{"app: a\ndeploy: {wait_timeout: 300}", "2:24: deploy.wait_timeout: expected a duration such as 30s or 1m30s, found 300"},
		{"app: a\ndeploy: {strategy: rollin}", `2:20: deploy.strategy: expected rolling, immediate, canary or bluegreen, found "rollin"; did you mean "rolling"?`},
		{"app: a\ndeploy: {strategy: canary}\nmounts: {source: d, destination: /d}", "2:20: deploy.strategy: canary does not work with mounts; use rolling or immediate"},
		{"app: a\nsource: {type: git}", "2:9: source.repo: is missing; say which repository the app is in"},
		{"app: a\nsource: {repo: x}", "2:9: source.type: is missing; expected git, local, inline-docker-file or image"},
		{"app: a\nsource: {type: local, path: ../x}", "2:29: source.path: leaves the repository that this file is in; name a folder inside it, or use source.type git"},
		{"app: a\nsource: {type: local, path: /x}", "2:29: source.path: expected a folder relative to this file, not an absolute path"},
		{"app: a\nsource: {type: local, path: x}", "2:29: source.path: there is no folder x"},
		{"app: a\nsource: {type: git, repo: r, ref: {branch: b, tag: t}}", "2:35: source.ref: expected one of branch, tag, commit, semver and name, not several"},
		{"app: a\nsource: {type: git, repo: r, ref: {semver: newest}}", `2:44: source.ref.semver: expected a range of versions such as >=1.2 <2, found "newest"`},
		{"app: a\nmounts: [{source: d, destination: /d}, {source: e, destination: /e}]", "2:40: mounts[1]: is a second mount of group app (mounts[0] is the first); a machine can have one"},
		{"app: a\nmounts: {source: d}", "2:9: mounts[0].destination: is missing; say where the volume is mounted"},
		{"app: a\nmount: {source: d, destination: /d, snapshot_retention: 90}", "2:57: mounts[0].snapshot_retention: expected 1 to 60 days, found 90"},
		{"app: a\nvolumes: [{name: d, count: 1001}]", "2:28: volumes[0].count: expected at most 1000, found 1001"},
		{"app: a\nprocesses: {web: w}\nservices: [{internal_port: 1}]", "3:12: services[0].processes: is missing; say which of web the service belongs to"},
		{"app: a\nprocesses: {web: w}\nvm: [{processes: [wbe]}]", `3:19: vm[0].processes[0]: there is no process group "wbe", only web`},
		{"app: a\nprocesses: {web: \"a 'b\"}", "2:18: processes.web: cannot be split into words; a quote is not closed"},
		{"app: a\nchecks: {up: {type: tcp}}", "2:14: checks.up.port: is missing, and there is no http_service to take it from"},
		{"app: a\nchecks: {up: {type: tcp, port: 1, interval: 1s}}", "2:45: checks.up.interval: expected at least 2s, found 1s"},
		{"app: a\nnetwork: {ips: [{v: v4, private: true}]}", "2:34: network.ips[0].private: a v4 address cannot be private; only v6 can"},
		{"app: a\nha: 3", "2:5: ha: expected true or false, found 3"},
		{"app: a\nkill_timeout: 2024-01-02", "2:15: kill_timeout: expected a duration such as 30s or 1m30s, found 2024-01-02"},
		{"app: a\nkill_timeout: true", "2:15: kill_timeout: expected a duration such as 30s or 1m30s, found true"},
		{"app: a\nha: !!int \"3\\n4\"", `2:5: ha: expected true or false, found "3\n4"`},
		{"app: a\nhttp_service: {internal_port: [80]}", "2:31: http_service.internal_port: expected a whole number, found a list"},
		{"app: a\nsource: {type: git, repo: r, ref: main}", "2:35: source.ref: expected keys and values such as {branch: main}, found text"},
		{"app: a\nsource: {type: git, repo: r, ref: {semver: '>=2 <1'}}", `2:44: source.ref.semver: no version is in ">=2 <1"; expected a range such as >=1.2 <2`},
		{"app: a\nsecrets: [{name: A, type: raw, raw: x, value: y}]", "2:40: secrets[0].value: is another spelling of raw on line 2; write one of them"},
		{"app: a\nmachines: {coutn: 2}", `2:12: machines.coutn: unknown key; did you mean "count"?`},
		{"app: a\napp: b", "2:1: app: is written twice; the first is on line 1"},
		{"app: a\nenv:\n\tA: b", "3:1: is indented with a tab; YAML takes only spaces"},
		{"app: a: b", "1:1: is not valid YAML: there is a second colon, or a key is indented differently from its neighbours; put text with a colon in quotes"},
		{"app: \xff", "1:1: is not text in UTF-8"},
		{"app: a\nenv: *nowhere", "1:1: is not valid YAML: unknown anchor 'nowhere' referenced"},
		{"app: a\nenv: &e {A: *e}", "2:6: the anchor &e contains itself"},
		{"app: a\n? [x]\n: y", "2:3: expected text as a key, found a list"},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := readText(c.text)
			if diff := cmp.Diff([]string{"app.yaml:" + c.want}, lines(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllMistakesOfATreeAreSaidAtOnceInAStableOrder(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 20 {
		tree[fmt.Sprintf("d%02d/app.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "app: a%d\nb: 1\nc: 1\n", i)}
	}
	tree["sound/app.yaml"] = &fstest.MapFile{Data: []byte("app: sound")}
	var first []string
	for range 5 {
		got, err := manifest.Read(tree, ".", manifest.Options{})
		all := lines(err)
		if len(all) != 40 || !slices.IsSorted(all) {
			t.Fatalf("%d problems, sorted %v", len(all), slices.IsSorted(all))
		}
		if first == nil {
			first = all
		}
		if !slices.Equal(first, all) {
			t.Fatal("the order changes")
		}
		if len(got.Apps) != 1 || got.Apps[0].App.Name != "sound" {
			t.Fatalf("sound apps: %v", got.Apps)
		}
		var ps manifest.Problems
		if !errors.As(err, &ps) || ps.HideApps() || ps[0].App != "a0" {
			t.Fatalf("problems %#v", ps[0])
		}
	}
}

func TestLenientMakesUnknownKeysWarnings(t *testing.T) {
	fsys := fstest.MapFS{"app.yaml": {Data: []byte("app: a\ncolour: red")}}
	tree, err := manifest.Read(fsys, ".", manifest.Options{Lenient: true})
	if err != nil || len(tree.Warnings) != 1 || tree.Warnings[0].Key != "colour" {
		t.Fatalf("%v %v", err, tree.Warnings)
	}
}

func TestTOMLMistakesHaveTheirPlaceToo(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"app = \"a\"\n[http_service]\n  internal_port = \"80\"", `3:19: http_service.internal_port: expected a whole number, found "80"; write it without quotes`},
		{"app = \"a\"\n[[services]]\n[[services.ports]]\nprot = 1", `4:1: services[0].ports[0].prot: unknown key; did you mean "port"?`},
		{"app = \"a\"\napp = \"b\"", "2:1: is not valid TOML: key app is already defined"},
		{"app = a", "1:7: is not valid TOML: "},
		{"org = \"a\"", "1:1: app: is missing; say what the app is called on Fly (app: my-app)"},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := manifest.Read(fstest.MapFS{"app.toml": {Data: []byte(c.text)}}, ".", manifest.Options{})
			if got := lines(err); len(got) != 1 || !strings.HasPrefix(got[0], "app.toml:"+c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRawSecretsAreSeenNowhere(t *testing.T) {
	const value = "hunter2hunter2"
	for _, key := range []string{"raw", "value"} {
		e := entry(t, "app.yaml", []byte("app: a\nsecrets:\n  - {name: S, type: raw, "+key+": "+value+"}\n"))
		if got := e.App.Secrets[0].Raw.Reveal(); got != value {
			t.Fatalf("the value is %q", got)
		}
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprint(e.JSON(), string(text), fmt.Sprintf("%+v %#v %v", *e.App, *e.App, e.Node.Content))
		if strings.Contains(shown, value) || !strings.Contains(shown, "[secret]") {
			t.Errorf("seen in %s", shown)
		}
	}
	for _, text := range []string{
		"app: a\nsecrets: [{name: S, type: raw, raw: [" + value + "]}]",
		"app: a\nsecrets: [{name: S, type: raw, raw: {a: " + value + "}}]",
		"app: a\nsecrets: [" + value + "]",
		"app: a\nsecrets: " + value,
	} {
		if _, err := readText(text); err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBombsAreRefusedQuickly(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("app: a\nx-0: &l0 [lol]\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&laughs, "x-%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d,", i-1), 9), ","))
	}
	many := "app: a\nx: &x 1\nenv:\n" + strings.Repeat("  - *x\n", 1001)
	for name, c := range map[string]struct{ text, want string }{
		"aliases of aliases": {laughs.String(), "grows beyond"},
		"many aliases":       {many, "uses more than 1000 aliases"},
		"deep":               {"app: a\nx-deep: " + strings.Repeat("[", 70) + strings.Repeat("]", 70), "is nested deeper than 64 levels"},
		"very deep":          {"app: a\nx-deep: " + strings.Repeat("[", 400_000), ""},
		"large":              {"app: a\n#" + strings.Repeat("x", 1<<20), "is larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := readText(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.200v", err)
			}
		})
	}
}

func TestTOMLBombsAreRefusedQuickly(t *testing.T) {
	for _, text := range []string{
		"app = \"a\"\nx-deep = " + strings.Repeat("[", 70) + strings.Repeat("]", 70),
		"app = \"a\"\nx-deep = " + strings.Repeat("[", 400_000),
		"app = \"a\"\nx-deep" + strings.Repeat(".a", 300_000) + " = 1",
		"app = \"a\"\n[x-deep" + strings.Repeat(".a", 70) + "]",
	} {
		_, err := manifest.Read(fstest.MapFS{"app.toml": {Data: []byte(text)}}, ".", manifest.Options{})
		if err == nil || !strings.Contains(err.Error(), "nested") && !strings.Contains(err.Error(), "nesting") {
			t.Errorf("got %.200v", err)
		}
	}
}
