package manifest_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

const ours = "https://github.com/acme/config.git"

// library opens the repositories of a test and notes which were opened.
type library struct {
	shelf  shelf
	opened *[]string
}

func (l library) Open(repo string, ref manifest.Ref) (fs.FS, error) {
	*l.opened = append(*l.opened, repo)
	return l.shelf.Open(repo, ref)
}

// including reads a tree of ours that points to a partner's repository.
func including(t *testing.T, own map[string]string, allow string, theirs map[string]string) (manifest.Tree, manifest.Problems, []string) {
	t.Helper()
	all := map[string]string{"partner/project.yaml": "project: partner\nsource: {type: git, repo: 'https://github.com/evil/apps'}\n" + allow}
	maps.Copy(all, own)
	var opened []string
	fsys := files(all)
	more := files(map[string]string{"app.yaml": "app: more"})
	tree, err := manifest.Read(fsys, ".", manifest.Options{Repo: ours, Org: "acme", Repos: library{shelf{
		"https://github.com/evil/apps@": files(theirs), "https://github.com/evil/more@": more, "https://gitlab.com/third/apps@": more, ours + "@main": fsys,
	}, &opened}})
	return tree, problemsOf(t, err), opened
}

// TestForeignRepositoryThatTriesEverythingGetsNothing points to a repository that asks for all there is, and names what is
// ours. Nothing of it is deployed, and nothing of ours is missing or changed.
func TestForeignRepositoryThatTriesEverythingGetsNothing(t *testing.T) {
	own := map[string]string{
		"web/app.yaml": "app: web\nenv: {A: ours}\ndepends_on: [db]", "app.yaml": "app: root", "zoo/project.yaml": "project: zoo\nsource: {type: local}",
		"zoo/db/app.yaml": "app: db", "back/project.yaml": "project: back\nsource: {type: local}", "back/app.yaml": "app: back",
	}
	theirs := map[string]string{
		"1/app.yaml": "app: web\nenv: {A: evil}", "app.yaml": "app: root\nbroken: here", "db/app.yaml": "app: db\norg: acme\nprimary_region: ams",
		"loot/app.yaml": "app: loot\norg: acme\nprimary_region: ams\nsecrets: [{name: X, type: env, env: PROD_DATABASE_URL}, {name: Y, type: sops, file: prod.yaml}]\n" +
			"source: {type: git, repo: 'https://github.com/acme/private'}\naddons: [{type: postgres, name: prod-db}]\nmachines: {count: 500, size: performance-16x}",
		"zoo/project.yaml":    "project: zoo\nsource: {type: local}\nallow: {apps: ['*'], orgs: ['*'], regions: ['*'], secrets: ['*'], repos: ['*']}",
		"more/project.yaml":   "project: more\nsource: {type: git, repo: 'https://github.com/evil/more'}\nallow: {apps: ['*'], repos: ['*']}",
		"third/project.yaml":  "project: third\nsource: {type: git, repo: 'https://gitlab.com/third/apps'}\nallow: {apps: ['*'], repos: ['*']}",
		"back/project.yaml":   "project: back\nsource: {type: git, repo: '" + ours + "', ref: {branch: main}}\nallow: {apps: ['*'], repos: ['*']}\ncommon: {app_overrides: {env: {A: evil}}}",
		"itself/project.yaml": "project: itself\nsource: {type: git, repo: 'git@github.com:acme/config'}\nallow: {apps: ['*'], repos: ['*']}\ncommon: {app_overrides: {env: {A: evil}}}",
	}
	alone, _, _ := including(t, own, "allow: {apps: [web]}\n", map[string]string{"readme": ""})
	for _, allow := range []string{"", "allow: {}\n", "allow: {apps: []}\n", "allow: {apps: [loot]}\n", "allow: {orgs: ['*'], regions: ['*'], secrets: ['*'], vm_sizes: ['*'], max_machines: 1000, addons: ['*']}\n"} {
		tree, ps, opened := including(t, own, allow, theirs)
		if diff := cmp.Diff(seen(alone), seen(tree)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", allow, diff)
		}
		for _, e := range tree.Apps {
			if e.Foreign || e.App.Name == "web" && e.App.Env["A"] != "ours" {
				t.Errorf("%q: %+v", allow, e)
			}
		}
		if ps.Error() == "" || !ps.HideApps() || slices.ContainsFunc(opened, func(repo string) bool { return repo != "https://github.com/evil/apps" }) {
			t.Errorf("%q: opened %v, %v", allow, opened, ps)
		}
		if allow == "" && len(opened) > 0 {
			t.Errorf("opened %v without being allowed anything", opened)
		}
		for _, p := range ps {
			if slices.Contains([]string{"web", "root", "db", "back"}, p.App) {
				t.Errorf("%q: an app of ours is held for what others wrote: %s", allow, p)
			}
			if !p.Refused && p.Key != "broken" {
				t.Errorf("%q: %s", allow, p)
			}
		}
		if len(tree.Warnings) > 0 || slices.ContainsFunc(tree.Repos, func(r manifest.RepoRef) bool { return r.Repo != "https://github.com/evil/apps" }) {
			t.Errorf("%q: %v %v", allow, tree.Warnings, tree.Repos)
		}
	}
}

// TestForeignRepositoriesAreToldWhatToWrite shows the sentences.
func TestForeignRepositoriesAreToldWhatToWrite(t *testing.T) {
	_, ps, _ := including(t, nil, "", nil)
	want := "partner/project.yaml:2:27: allow: is missing, and https://github.com/evil/apps, which has another owner than this file's repository, gets nothing without it; " +
		"write what it may be and have, such as allow: {apps: [shop-*], orgs: [acme], regions: [ams], vm_sizes: [shared-cpu-1x], max_machines: 2}"
	if ps.Error() != want {
		t.Error(ps)
	}
	_, ps, _ = including(t, nil, "allow: {apps: [loot]}", map[string]string{"app.yaml": "app: loot\nprimary_region: ams\nsource: {type: git, repo: 'https://github.com/evil/code'}\naddons: [{type: redis, name: x}]"})
	const from = "is not allowed: the manifest comes from https://github.com/evil/apps, which has another owner than the repository of partner/project.yaml:3 (project partner), and the allow there has no"
	wants := []string{
		"2:17: allow.regions: primary_region: \"ams\" " + from + " regions; add a list there, such as regions: [ams]",
		"1:1: allow.orgs: org: \"acme\" " + from + " orgs; add a list there, such as orgs: [acme]",
		"3:27: allow.repos: source.repo: \"github.com/evil/code\" " + from + " repos; add a list there, such as repos: [github.com/evil/code]",
		"1:1: allow.vm_sizes: vm: \"shared-cpu-1x\" " + from + " vm_sizes; add a list there, such as vm_sizes: [shared-cpu-1x]",
		"1:1: allow.max_machines: machines: 1 machines are not allowed" + strings.TrimPrefix(from, "is not allowed") + " max_machines; add a number there, such as max_machines: 1",
		"4:10: allow.addons: addons[0]: \"redis/x\" " + from + " addons; add a list there, such as addons: [redis/x]",
	}
	for i := range wants {
		wants[i] = "https://github.com/evil/apps app.yaml:" + wants[i]
	}
	slices.Sort(wants)
	if diff := cmp.Diff(wants, slices.Sorted(slices.Values(lines(ps)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const granted = "allow: {apps: [partner-*, root], orgs: [acme], regions: [ams], vm_sizes: [shared-cpu-1x], max_machines: 1, repos: ['https://github.com/evil/*']}\n"

// TestForeignRepositoriesGetWhatTheyAreGranted shows that what is granted works, and that nothing follows from it.
func TestForeignRepositoriesGetWhatTheyAreGranted(t *testing.T) {
	theirs := map[string]string{
		"app.yaml":          "app: partner-web\nprimary_region: ams\nnotify: [{to: ours}]\ndepends_on: [root]",
		"code/app.yaml":     "app: partner-code\nprimary_region: ams\nsource: {type: git, repo: 'git@github.com:evil/code'}",
		"self/app.yaml":     "app: partner-self\nprimary_region: ams\nsource: {type: git, repo: 'git@github.com:evil/apps'}",
		"root/app.yaml":     "app: root\nprimary_region: ams",
		"far/app.yaml":      "app: partner-far\nprimary_region: sin",
		"more/project.yaml": "project: more\nsource: {type: git, repo: 'https://github.com/evil/more'}\ncommon: {app_overrides: {primary_region: ams}, substitutions: {more: partner-more}}",
	}
	tree, ps, opened := including(t, map[string]string{"app.yaml": "app: root"}, granted+"notify: [{to: partners}]", theirs)
	want := []string{
		"partner-more https://github.com/evil/moreapp.yaml partner/more", "partner-web https://github.com/evil/appsapp.yaml partner",
		"partner-code https://github.com/evil/appscode/app.yaml partner", "partner-self https://github.com/evil/appsself/app.yaml partner", "root app.yaml",
	}
	if diff := cmp.Diff(want, seen(tree)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, e := range tree.Apps {
		if e.Foreign != (e.App.Name != "root") {
			t.Errorf("%s is foreign: %v", e.App.Name, e.Foreign)
		}
	}
	if diff := cmp.Diff([]string{"https://github.com/evil/apps", "https://github.com/evil/more"}, opened); diff != "" {
		t.Error(diff)
	}
	more := tree.Apps[0]
	via := []manifest.RepoRef{{Repo: "https://github.com/evil/apps", By: "partner", Project: true}, {Repo: "https://github.com/evil/more", By: "more", Project: true}}
	if diff := cmp.Diff(via, more.Includes); diff != "" {
		t.Error(diff)
	}
	if got := fmt.Sprint(tree.Apps[1].App.Notify, tree.Apps[1].JSON()["notify"]); got != "[{partners []}] [map[to:partners]]" {
		t.Errorf("told are %s", got)
	}
	if len(ps) != 2 || ps[0].App != "partner-far" || ps[1].App != "" || ps[1].Text != `"root" is also the app of app.yaml; every app needs a name of its own` || ps.HideApps() {
		t.Errorf("%#v", ps)
	}
	if len(tree.Warnings) != 1 || tree.Warnings[0].Key != "notify" {
		t.Error(tree.Warnings)
	}
}

// TestOwnPoliciesBindForeignRepositoriesToo lets the root's policy narrow what an inner project grants.
func TestOwnPoliciesBindForeignRepositoriesToo(t *testing.T) {
	root := "project: all\nsource: {type: local}\nallow: {%s}"
	theirs := map[string]string{"app.yaml": "app: partner-web\nprimary_region: ams"}
	for rules, want := range map[string]string{
		"apps: ['*']":                        "",
		"regions: [fra]":                     `https://github.com/evil/apps app.yaml:2:17: allow.regions: primary_region: "ams" is not allowed: project.yaml:3 (project all) allows fra`,
		"repos: ['*', '!github.com/evil/*']": `partner/project.yaml:2:27: allow.repos: source.repo: "github.com/evil/apps" is denied by "!github.com/evil/*" in project.yaml:3 (project all)`,
	} {
		_, ps, _ := including(t, map[string]string{"project.yaml": fmt.Sprintf(root, rules)}, granted, theirs)
		if got := strings.Join(lines(asError(ps)), "\n"); got != want {
			t.Errorf("%s: %s", rules, got)
		}
	}
}

func asError(ps manifest.Problems) error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// TestWhoseARepositoryIs tells the owners apart that are trusted from those that are not.
func TestWhoseARepositoryIs(t *testing.T) {
	for _, c := range []struct {
		own, other string
		trusted    bool
	}{
		{"https://github.com/acme/config", "git@github.com:acme/other.git", true},
		{"https://github.com/acme/config", "https://GitHub.com/Acme/other", true},
		{"https://gitlab.com/acme/config", "https://gitlab.com/acme/group/deep/other", true},
		{"https://git.acme.org/config", "https://git.acme.org/other", true},
		{"https://github.com/acme/config", "https://github.com/acmee/other", false},
		{"https://github.com/acme/config", "https://gitlab.com/acme/other", false},
		{"https://github.com/acme/config", "https://github.com/acme/../evil/other", false},
		{"https://github.com/acme/config", "https://github.com/acme%2f..%2fevil/other", false},
		{"https://github.com/acme/config", "https://github.com:444/acme/other", false},
		{"https://git.acme.org/config", "https://git.acme.org/team/other", false},
		{"https://github.com/acme/../x", "https://github.com/acme/../y", false},
		{"", "https://github.com/evil/other", true},
	} {
		tree, err := manifest.Read(files(map[string]string{"project.yaml": "project: p\nsource: {type: git, repo: '" + c.other + "'}"}), ".", manifest.Options{
			Repo: c.own, Repos: shelf{c.other + "@": files(map[string]string{"app.yaml": "app: a"})},
		})
		if (err == nil && len(tree.Apps) == 1) != c.trusted {
			t.Errorf("%s in %s: %v", c.other, c.own, err)
		}
	}
}

// TestForeignRepositoriesTakeNothingFromEachOther lets one of them hide no project of another, nor choose who is told of its apps.
func TestForeignRepositoriesTakeNothingFromEachOther(t *testing.T) {
	const all = "allow: {apps: ['*'], orgs: ['*'], regions: ['*'], vm_sizes: ['*'], max_machines: 9, repos: ['*']}\n"
	project := func(name, repo string) string {
		return "project: " + name + "\nsource: {type: git, repo: 'https://github.com/" + repo + "'}\n" + all
	}
	third := files(map[string]string{"x/project.yaml": "project: x\nsource: {type: local}\nnotify: [{to: theirs}]", "x/app.yaml": "app: ${NAME:=third}"})
	evil := files(map[string]string{"q/project.yaml": project("q", "third/apps") + "notify: [{to: evil}]\ncommon: {vars: {NAME: evil}}", "loot/app.yaml": "app: ours"})
	tree, err := manifest.Read(files(map[string]string{
		"a/project.yaml": "project: a\nsource: {type: local, path: ../loot}", "loot/app.yaml": "app: ours",
		"p/project.yaml": project("p", "evil/apps"), "q/project.yaml": project("q", "third/apps") + "common: {vars: {NAME: third}}",
	}), ".", manifest.Options{Repo: ours, Repos: shelf{"https://github.com/evil/apps@": evil, "https://github.com/third/apps@": third}})
	want := []string{"ours loot/app.yaml a", "evil https://github.com/third/appsx/app.yaml p/q/x", "third https://github.com/third/appsx/app.yaml q/x"}
	if diff := cmp.Diff(want, seen(tree)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, e := range tree.Apps {
		if len(e.App.Notify) > 0 {
			t.Errorf("of %s %v are told", e.App.Name, e.App.Notify)
		}
	}
	if got := lines(err); len(got) != 1 || got[0] != `https://github.com/evil/apps loot/app.yaml:1:6: app: "ours" is also the app of loot/app.yaml; every app needs a name of its own` {
		t.Error(err)
	}
}

// TestBrokenIncludesStayRoutes keeps the repositories of projects whose files are not sound.
func TestBrokenIncludesStayRoutes(t *testing.T) {
	tree, err := manifest.Read(files(map[string]string{
		"a/project.yaml": "project: a\nsource: {type: git, repo: 'https://github.com/acme/a', ref: {branch: main}}\nbroken: 1",
		"b/project.yaml": "project: b\nsource: {type: git, repo: 'https://github.com/acme/gone'}",
	}), ".", manifest.Options{Repo: ours, Repos: shelf{}})
	want := []manifest.RepoRef{
		{Repo: "https://github.com/acme/a", Ref: manifest.Ref{Branch: "main"}, By: "a", Project: true},
		{Repo: "https://github.com/acme/gone", By: "b", Project: true},
	}
	if diff := cmp.Diff(want, tree.Repos); diff != "" || !problemsOf(t, err).HideApps() {
		t.Errorf("%s %v", diff, err)
	}
}

// TestForeignCyclesEnd follows repositories that point to each other, under names that are new each time.
func TestForeignCyclesEnd(t *testing.T) {
	project := func(name, repo string) string {
		return "project: " + name + "\nsource: {type: git, repo: '" + repo + "'}\nallow: {repos: ['*'], apps: ['*']}"
	}
	theirs := files(map[string]string{"a/project.yaml": project("a", ours), "b/project.yaml": project("b", "https://github.com/third/x"), "c/app.yaml": "app: c"})
	own := files(map[string]string{"p/project.yaml": project("p", "https://github.com/evil/apps"), "q/project.yaml": project("q", "https://github.com/third/x"), "app.yaml": "app: root"})
	tree, err := manifest.Read(own, ".", manifest.Options{Repo: ours, Repos: shelf{"https://github.com/evil/apps@": theirs, "https://github.com/third/x@": theirs}})
	if diff := cmp.Diff([]string{"root app.yaml"}, seen(tree)); diff != "" || len(lines(err)) > 200 {
		t.Errorf("%s %d", diff, len(lines(err)))
	}
}
