package shared_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gigurra/flycd/"

// layers lists every package, lowest first. A package may import only packages of lower layers.
// Packages that exist for tests sit beside what they simulate.
var layers = [][]string{
	{"examples", "shared", "shared/job", "shared/manifest", "shared/settings"},
	{"shared/catalog", "shared/machine"},
	{"shared/plan"},
	{"shared/image/sandbox", "shared/fault"},
	{"shared/adopt", "shared/report", "shared/source", "shared/image", "shared/queue", "shared/secret", "shared/probe", "shared/fly", "shared/launch", "shared/identity", "shared/fly/flysim"},
	{"shared/queue/queuetest", "shared/image/imagetest", "shared/image/buildkit", "shared/image/assemble", "shared/deploy", "shared/forge", "shared/forge/forgesim"},
	{"shared/deploy/deploytest"},
	{"shared/install"},
	{"dispatcher", "runner"},
	{"cmd/flycd", "cmd/dispatcher", "cmd/runner"},
}

// owners lists the third-party modules that only some packages may import. The longest prefix
// counts.
var owners = map[string][]string{
	"github.com/superfly/fly-go":             {"shared/machine", "shared/plan", "shared/adopt", "shared/fly", "shared/fly/flysim"},
	"github.com/superfly/fly-go/flaps":       {"shared/fly"},
	"github.com/superfly/macaroon":           {"shared/launch", "shared/fly/flysim"},
	"github.com/redis/go-redis":              {"shared/queue", "shared/queue/queuetest"},
	"github.com/alicebob/miniredis":          {"shared/queue/queuetest", "cmd/flycd"},
	"github.com/go-git/go-git":               {"shared/source"},
	"github.com/google/go-containerregistry": {"shared/image", "shared/image/imagetest", "shared/deploy/deploytest"},
	"github.com/moby/buildkit":               {"shared/image/buildkit"},
	"golang.org/x/crypto/x509roots":          {"shared/image/assemble"},
	"github.com/vishvananda/netlink":         {"shared/image/sandbox"},
	"github.com/google/nftables":             {"shared/image/sandbox"},
	"github.com/google/go-github":            {"dispatcher", "shared/forge", "shared/forge/forgesim"},
	"github.com/go-jose/go-jose":             {}, // tests alone
	"code.dny.dev/ssrf":                      {"shared/forge"},
	"github.com/robfig/cron":                 {"shared/deploy"},
	"github.com/caarlos0/env":                {"shared/settings"},
	"github.com/spf13/cobra":                 {"cmd/flycd"},
}

// unlinked lists what a binary must not link, with the reason.
var unlinked = map[string]map[string]string{
	"cmd/dispatcher": {
		"github.com/superfly/fly-go":               "it doubles the binary, and the dispatcher wakes from a slow disk",
		"github.com/go-git/go-git":                 "the dispatcher never clones",
		"github.com/moby/buildkit":                 "the dispatcher never builds",
		"github.com/gigurra/flycd/shared/deploy":   "the dispatcher never deploys",
		"github.com/gigurra/flycd/shared/manifest": "the dispatcher reads no manifest",
		"github.com/superfly/macaroon/flyio":       "tokens are narrowed there, and never checked",
		"text/template":                            "a template engine stops the linker from dropping methods",
		"html/template":                            "a template engine stops the linker from dropping methods",
	},
	"cmd/runner": {
		"github.com/gigurra/flycd/shared/fly/flysim":     "only tests and flycd local simulate",
		"github.com/gigurra/flycd/shared/forge/forgesim": "only tests, flycd sim and the local mode simulate",
		"github.com/alicebob/miniredis":                  "only tests and flycd local simulate",
		"html/template":                                  "a template engine stops the linker from dropping methods",
	},
	"cmd/flycd": {
		"github.com/moby/buildkit":   "go run compiles in a minute: buildctl is started as a program",
		"github.com/google/nftables": "only a runner builds in a sandbox of its own",
		"github.com/getsops/sops":    "go run compiles in a minute: sops is started as a program",
	},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDown(t *testing.T) {
	layer := map[string]int{}
	for i, pkgs := range layers {
		for _, p := range pkgs {
			layer[p] = i
		}
	}
	seen := map[string]bool{}
	for _, p := range list(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		seen[from] = true
		mine, ok := layer[from]
		if !ok {
			t.Errorf("%s is on no layer: add it to layers, or merge it into a package that is", from)
		}
		for _, imp := range p.Imports {
			if to, ok := strings.CutPrefix(imp, module); ok && layer[to] >= mine {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports must go down", from, mine, to, layer[to])
			}
		}
	}
	for p := range layer {
		if !seen[p] {
			t.Errorf("%s is on the map but not in the house: delete its row", p)
		}
	}
}

func TestEachLibraryHasOneOwner(t *testing.T) {
	for _, p := range list(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			if lib := longestPrefix(owners, imp); lib != "" && !slices.Contains(owners[lib], from) {
				t.Errorf("%s imports %s: only %v may", from, lib, owners[lib])
			}
		}
	}
}

// The binaries are built with the tag that leaves gRPC's own pages out (Dockerfile.runner).
func TestBinariesLinkOnlyWhatTheyNeed(t *testing.T) {
	for binary, bans := range unlinked {
		out, err := exec.Command("go", "list", "-deps", "-tags", "grpcnotrace", module+binary).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if lib := longestPrefix(bans, dep); lib != "" {
				t.Errorf("%s links %s: %s", binary, dep, bans[lib])
			}
		}
	}
}

func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func longestPrefix[V any](m map[string]V, s string) string {
	best := ""
	for k := range m {
		if (s == k || strings.HasPrefix(s, k+"/")) && len(k) > len(best) {
			best = k
		}
	}
	return best
}
