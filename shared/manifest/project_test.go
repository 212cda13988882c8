package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

const acme = "project: acme\nsource: {type: local}\ncommon:\n  app_defaults: {org: acme, env: {A: outer, B: outer}}\n  app_overrides: {primary_region: ams}\n"

func TestInnerProjectsAddToOuterOnes(t *testing.T) {
	fsys := files(map[string]string{
		"project.yaml":       acme + "sync: {auto: true, retry: {limit: 3}}\n",
		"app.yaml":           "app: root\nprimary_region: arn",
		"inner/project.yaml": "project: inner\nsource: {type: local, path: apps}\nsync: {auto: false}\ncommon:\n  app_defaults: {env: {B: inner, C: inner}}\n  app_overrides: {primary_region: fra}\n",
		"inner/apps/x.txt":   "", "inner/apps/app.yaml": "app: deep\nenv: {C: mine, B: }\nsync: {prune: true}",
	})
	tree := mustRead(t, fsys, ".", manifest.Options{})
	if diff := cmp.Diff([]string{"deep inner/apps/app.yaml acme/inner", "root app.yaml acme"}, seen(tree)); diff != "" {
		t.Fatal(diff)
	}
	want := map[string]any{
		"app": "deep", "org": "acme", "primary_region": "fra", "env": map[string]any{"A": "outer", "B": "inner", "C": "mine"},
		"sync": map[string]any{"auto": false, "prune": true, "retry": map[string]any{"limit": float64(3)}},
	}
	if diff := cmp.Diff(any(want), throughJSON(t, tree.Apps[0].JSON())); diff != "" {
		t.Error(diff)
	}
	if got := tree.Apps[1].App; got.Org != "acme" || got.PrimaryRegion != "ams" {
		t.Errorf("root is %+v", got)
	}
}

func TestOneFolderServesSeveralEnvironments(t *testing.T) {
	env := func(name string) string {
		return "project: " + name + "\nsource: {type: local, path: ../apps}\ncommon: {vars: {ENV: " + name + "}}\n"
	}
	fsys := files(map[string]string{
		"dev/project.yaml": env("dev"), "prod/project.yaml": env("prod"),
		"apps/web/app.yaml": "app: web-${ENV}\n# ${NOT} a variable\nenv: {HOME: '$${HOME}', LEVEL: '${LEVEL:=info}'}\n",
	})
	tree := mustRead(t, fsys, ".", manifest.Options{})
	if diff := cmp.Diff([]string{"web-dev apps/web/app.yaml dev", "web-prod apps/web/app.yaml prod"}, seen(tree)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(map[string]string{"HOME": "${HOME}", "LEVEL": "info"}, tree.Apps[0].App.Env); diff != "" {
		t.Error(diff)
	}
}

func TestUndefinedVariablesAreMistakesOnlyWhereThereAreVariables(t *testing.T) {
	app := "app: a\nenv: {A: '${HSOT}'}\n"
	plain := mustRead(t, files(map[string]string{"app.yaml": app}), ".", manifest.Options{})
	if got := plain.Apps[0].App.Env["A"]; got != "${HSOT}" {
		t.Errorf("without variables it is %q", got)
	}
	_, err := manifest.Read(files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\ncommon: {vars: {HOST: x}}", "app.yaml": app,
	}), ".", manifest.Options{})
	if err == nil || err.Error() != "app.yaml:2:11: variable HSOT is not defined; did you mean HOST?" {
		t.Error(err)
	}
}

func TestVariablesReachDefaultsAndOverrides(t *testing.T) {
	tree := mustRead(t, files(map[string]string{
		"project.yaml":   "project: p\nsource: {type: local}\ncommon:\n  vars: {PORT: 80, R: x}\n  app_defaults: {http_service: {internal_port: \"${PORT}\"}}\n",
		"q/project.yaml": "project: q\nsource: {type: local}\ncommon:\n  vars: {R: ams}\n  app_overrides:\n    primary_region: ${R}\n    swap_size_mb: ${PORT}\n",
		"q/app.yaml":     "app: a\nhttp_service: {internal_port: 90}",
	}), ".", manifest.Options{})
	if got := tree.Apps[0].App; got.PrimaryRegion != "ams" || *got.SwapSizeMB != 80 || got.HTTPService.InternalPort != 90 {
		t.Errorf("%+v", got)
	}
}

func TestSubstitutionsGoInTheOrderWritten(t *testing.T) {
	for range 20 {
		tree := mustRead(t, files(map[string]string{
			"project.yaml":   "project: p\nsource: {type: local}\ncommon: {substitutions: {one: two, two: three, '__(\\w)__': 'x-$1'}}",
			"q/project.yaml": "project: q\nsource: {type: local}\ncommon: {substitutions: {three: 4, two: deux}}",
			"q/app.yaml":     "app: one-__b__\norg: two",
		}), ".", manifest.Options{})
		if got := tree.Apps[0].App; got.Name != "deux-x-b" || got.Org != "deux" {
			t.Fatalf("%s %s", got.Name, got.Org)
		}
	}
}

func TestListsAppendWhatIsNotThereYet(t *testing.T) {
	fsys := files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\ncommon:\n  app_defaults: {network: {ips: [{v: v6}, {v: v4, shared: true}]}, extra_regions: [ams]}\n  app_overrides: {extra_regions: [ams, fra, fra]}",
		"app.yaml":     "app: a\nextra_regions: [arn]\nnetwork: {ips: [{shared: true, v: v4}, {v: v6, private: true}]}",
	})
	got := mustRead(t, fsys, ".", manifest.Options{}).Apps[0].App
	if diff := cmp.Diff([]string{"ams", "arn", "fra"}, got.ExtraRegions); diff != "" {
		t.Error(diff)
	}
	want := []manifest.IP{{V: "v6"}, {V: "v4", Shared: true}, {V: "v6", Private: true}}
	if diff := cmp.Diff(want, got.Network.IPs); diff != "" {
		t.Error(diff)
	}
}
