package shared_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gigurra/flycd/"

// layers lists every package, lowest first. A package may import only packages
// of lower layers. Packages that exist for tests sit beside what they simulate.
var layers = [][]string{
	{"shared", "shared/job", "shared/manifest"},
	{"shared/catalog", "shared/machine"},
	{"shared/plan"},
	{"shared/source", "shared/image", "shared/queue", "shared/fly", "shared/launch", "shared/fly/flysim"},
	{"shared/image/buildkit", "shared/queue/queuetest", "shared/deploy"},
	{"dispatcher", "runner"},
	{"cmd/flycd", "cmd/dispatcher", "cmd/runner"},
}

// owners lists the third-party modules that only some packages may import. The longest prefix counts.
var owners = map[string][]string{
	"github.com/superfly/fly-go":             {"shared/machine", "shared/plan", "shared/fly", "shared/fly/flysim"},
	"github.com/superfly/fly-go/flaps":       {"shared/fly"},
	"github.com/superfly/macaroon":           {"shared/launch", "shared/fly/flysim"},
	"github.com/redis/go-redis":              {"shared/queue", "shared/queue/queuetest"},
	"github.com/go-git/go-git":               {"shared/source"},
	"github.com/google/go-containerregistry": {"shared/image"},
	"github.com/moby/buildkit":               {"shared/image/buildkit"},
	"github.com/google/go-github":            {"dispatcher"},
	"github.com/caarlos0/env":                {"cmd/flycd", "cmd/dispatcher", "cmd/runner"},
	"github.com/spf13/cobra":                 {"cmd/flycd"},
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	layer := map[string]int{}
	for i, pkgs := range layers {
		for _, p := range pkgs {
			layer[p] = i
		}
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		mine, ok := layer[from]
		if !ok {
			t.Errorf("%s is on no layer: add it to layers, or merge it into a package that is", from)
		}
		for _, imp := range p.Imports {
			if to, ok := strings.CutPrefix(imp, module); ok && layer[to] >= mine {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports must go down", from, mine, to, layer[to])
			}
			if lib := longestPrefix(owners, imp); lib != "" && !slices.Contains(owners[lib], from) {
				t.Errorf("%s imports %s: only %v may", from, lib, owners[lib])
			}
		}
	}
}

func longestPrefix(m map[string][]string, s string) string {
	best := ""
	for k := range m {
		if strings.HasPrefix(s, k) && len(k) > len(best) {
			best = k
		}
	}
	return best
}
