package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// row is a push, what the webhook is answered, and what becomes of it: each job that is done, in their order, and
// nothing else.
type row struct {
	law string
	// repo is whose push it is, and change what is done to it before.
	repo   string
	change func(h *house)
	asks   string
	does   string
}

// TestPushMakesTheseJobsAndNoOthers goes through every sort of push, to a config repository, to one that it includes,
// to the apps' code, and to a repository that is both: which jobs the webhook makes, which follow from those, in which
// order, and that nothing else happens. With three thousand apps it is the same, down to the commands that Redis gets.
func TestPushMakesTheseJobsAndNoOthers(t *testing.T) {
	many := 3000
	if raced {
		many = 60
	}
	cost := map[string][]string{}
	for _, apps := range []int{3, many} {
		t.Run(fmt.Sprint(apps, " apps"), func(t *testing.T) {
			h := newHouse(t)
			h.seed(apps)
			for _, r := range rows() {
				if r.change != nil {
					r.change(h)
				}
				h.sent.reset()
				asks := h.push(r.repo)
				h.server.Wait()
				// whether the taker asks once more depends on how fast the first launch was
				sent := slices.Compact(h.sent.reset())
				if asks != r.asks {
					t.Errorf("%s: the webhook makes %q, want %q", r.law, asks, r.asks)
				}
				if does := h.settle(); does != r.does {
					t.Errorf("%s: done is %q, want %q", r.law, does, r.does)
				}
				if before, known := cost[r.law]; known && !slices.Equal(before, sent) {
					t.Errorf("%s: costs %v with %d apps, %v with 3", r.law, sent, apps, before)
				}
				cost[r.law] = sent
				if len(sent) > 10 {
					t.Errorf("%s: costs %v", r.law, sent)
				}
			}
			if broken, err := h.queue.Audit(t.Context()); err != nil || len(broken) > 0 {
				t.Errorf("%v %v", broken, err)
			}
		})
	}
}

// seed makes the repositories: three apps in a config tree that most of the pushes go to, and as many fillers as are
// missing in another one.
func (h *house) seed(apps int) {
	h.t.Helper()
	files := map[string]string{
		"README.md": "words", "apps/site/app.yaml": h.app("site", "1"),
		"apps/web/app.yaml": h.app("web", "1", "source: {type: git, repo: "+h.url("code")+", path: web}"),
		"apps/api/app.yaml": h.app("api", "1", "source: {type: git, repo: "+h.url("code")+", path: api, watch: [lib/**]}"),
	}
	fleet := map[string]string{"big/app.yaml": h.app("big", "1")}
	for i := range apps - 3 {
		name := fmt.Sprintf("filler-%04d", i)
		fleet[fmt.Sprintf("fillers/%02d/%s/app.yaml", i%100, name)] = h.app(name, "1", "source: {type: git, repo: "+h.url(fmt.Sprint("other-", i%100))+"}")
	}
	dockerfile := "FROM scratch\n"
	for repo, files := range map[string]map[string]string{
		"config": files, "fleet": fleet, "code": {"web/Dockerfile": dockerfile, "api/Dockerfile": dockerfile, "lib/x": "1", "README.md": "words"},
		"team": {"README.md": "words"}, "self": {"app.yaml": h.app("self", "1", "source: {type: local}"), "Dockerfile": dockerfile},
	} {
		h.repo(repo)
		h.hook(repo)
		h.commit(repo, files)
	}
	h.start("config#apps", "self", "fleet")
	for repo, want := range map[string]string{
		"config": "sync config: updated, deploy api: created, deploy site: created, deploy web: created", "self": "sync self: updated, deploy self: created",
		"fleet": "sync fleet: updated, deploy big: created",
	} {
		h.push(repo)
		if got := h.settle(); got != want {
			h.t.Fatalf("the first sync of %s ends with %q, want %q", repo, got, want)
		}
	}
	for _, repo := range []string{"code", "team"} {
		h.push(repo)
		h.settle()
	}
}

// app is a manifest; what it runs is an image, unless more says where it comes from.
func (h *house) app(name, text string, more ...string) string {
	h.t.Helper()
	all := strings.Join(more, "\n")
	if !strings.Contains(all, "source:") {
		all += "\nsource: {type: image, image: " + h.image + "}"
	}
	return fmt.Sprintf("app: %s\norg: personal\nprimary_region: ams\nenv: {GREETING: %q}\n%s\n", name, text, all)
}

func rows() []row {
	return slices.Concat(configRows(), includeRows(), codeRows(), selfRows(), fleetRows())
}

func on(repo string, files map[string]string) func(h *house) {
	return func(h *house) { h.commit(repo, files) }
}

// edit gives files whose texts need the house.
func edit(repo string, files func(h *house) map[string]string) func(h *house) {
	return func(h *house) { h.commit(repo, files(h)) }
}

func one(file string, text func(h *house) string) func(h *house) map[string]string {
	return func(h *house) map[string]string { return map[string]string{file: text(h)} }
}

func yaml(name, text string, more ...string) func(h *house) string {
	return func(h *house) string { return h.app(name, text, more...) }
}

const prune = "sync: {prune: true, prune_grace: 0}"

func configRows() []row {
	sync, box := "sync config", map[string]string{}
	return []row{
		{"config: a commit that touches nothing of the tree", "config", on("config", map[string]string{"README.md": "more words"}), sync, "sync config: unchanged"},
		{"config: add", "config", edit("config", one("apps/blog/app.yaml", yaml("blog", "1", prune))), sync, "sync config: updated, deploy blog: created"},
		{"config: change", "config", edit("config", one("apps/site/app.yaml", yaml("site", "2"))), sync, "sync config: updated, deploy site: updated"},
		{"config: a comment", "config", edit("config", one("apps/site/app.yaml", func(h *house) string { return "# hello\n" + h.app("site", "2") })), sync, "sync config: unchanged"},
		{"config: notify alone", "config", edit("config", one("apps/site/app.yaml", yaml("site", "2", "notify: [{to: ops}]", "sync: {prune_max: 5}"))), sync, "sync config: unchanged"},
		{"config: move", "config", edit("config", func(h *house) map[string]string {
			return map[string]string{"apps/site/app.yaml": "", "apps/front/site/app.yaml": h.app("site", "2")}
		}), sync, "sync config: unchanged"},
		{"config: rename", "config", edit("config", one("apps/blog/app.yaml", yaml("news", "1", prune))), sync, "sync config: updated, deploy news: created, destroy blog: updated"},
		{"config: delete", "config", on("config", map[string]string{"apps/blog/app.yaml": ""}), sync, "sync config: updated, destroy news: updated"},
		{"config: revert", "config", edit("config", one("apps/blog/app.yaml", yaml("news", "1", prune))), sync, "sync config: updated, deploy news: created"},
		{"config: force push", "config", func(h *house) {
			before := h.head("config")
			h.commit("config", map[string]string{"apps/front/site/app.yaml": h.app("site", "3")})
			h.push("config")
			h.settle()
			h.setRef("config", "refs/heads/main", before)
		}, sync, "sync config: updated, deploy site: updated"},
		{"config: new branch", "config", func(h *house) {
			h.commitAt("config", "next", "change", map[string]string{"apps/site/app.yaml": h.app("site", "4")})
		}, "ignored", ""},
		{"config: deleted branch", "config", func(h *house) { h.setRef("config", "refs/heads/next", "") }, "ignored", ""},
		{"config: tag", "config", func(h *house) { h.setRef("config", "refs/tags/v1.0.0", h.head("config")) }, "ignored", ""},
		{"config: a broken one", "config", on("config", map[string]string{"apps/front/site/app.yaml": "app: ["}), sync, "sync config: rejected"},
		{"config: mended", "config", edit("config", one("apps/front/site/app.yaml", yaml("site", "2"))), sync, "sync config: unchanged"},
		{"config: asked to be skipped", "config", func(h *house) {
			h.commitAt("config", "", "words [skip flycd]", map[string]string{"apps/front/site/app.yaml": h.app("site", "5")})
		}, "ignored", ""},
		{"config: the push after that", "config", on("config", map[string]string{"README.md": "words again"}), sync, "sync config: updated, deploy site: updated"},
		{"config: source beside the manifest", "config", func(h *house) {
			maps.Copy(box, map[string]string{"apps/box/app.yaml": h.app("box", "1", "source: {type: local}"), "apps/box/Dockerfile": "FROM scratch\n"})
			h.commit("config", box)
		}, sync, "sync config: updated, deploy box: created"},
		{"config: a Dockerfile alone", "config", on("config", map[string]string{"apps/box/Dockerfile": "FROM scratch\nENV A=b\n"}), sync, "sync config: updated, deploy box: updated"},
		{"config: several at once, in the order of their dependencies", "config", edit("config", func(h *house) map[string]string {
			return map[string]string{
				"apps/a/app.yaml": h.app("a1", "1", "depends_on: [c1]"), "apps/b/app.yaml": h.app("b1", "1", "depends_on: [a1]"), "apps/c/app.yaml": h.app("c1", "1"),
			}
		}), sync, "sync config: updated, deploy c1: created, deploy a1: created, deploy b1: created"},
	}
}

func includeRows() []row {
	sync := "sync config"
	project := func(repo string) func(h *house) string {
		return func(h *house) string {
			return "project: " + repo + "\nsource: {type: git, repo: " + h.url(repo) + "}\n"
		}
	}
	return []row{
		{"include: before it is included", "team", edit("team", one("tool/app.yaml", yaml("tool", "1"))), "ignored", ""},
		{"include: nested", "config", edit("config", one("apps/team/project.yaml", project("team"))), sync, "sync config: updated, deploy tool: created"},
		{"include: change", "team", edit("team", one("tool/app.yaml", yaml("tool", "2"))), sync, "sync config: updated, deploy tool: updated"},
		{"include: a commit that changes nothing", "team", on("team", map[string]string{"README.md": "more words"}), sync, "sync config: unchanged"},
		{"include: cyclic", "team", edit("team", one("back/project.yaml", project("config"))), sync, "sync config: unchanged"},
		{"include: change in a cycle", "team", edit("team", one("tool/app.yaml", yaml("tool", "3"))), sync, "sync config: updated, deploy tool: updated"},
		{"include: a broken one", "team", on("team", map[string]string{"back/project.yaml": "project: ["}), sync, "sync config: rejected"},
		{"include: mended", "team", on("team", map[string]string{"back/project.yaml": ""}), sync, "sync config: unchanged"},
		{"include: new branch", "team", func(h *house) { h.commitAt("team", "next", "change", map[string]string{"x": "y"}) }, "ignored", ""},
		{"include: it points to what is not there", "config", edit("config", one("apps/team/project.yaml", project("nowhere"))), sync, "sync config: rejected"},
		{"include: it still follows what it pointed to", "team", edit("team", one("tool/app.yaml", yaml("tool", "4"))), sync, "sync config: rejected"},
		{"include: and is back", "config", edit("config", one("apps/team/project.yaml", project("team"))), sync, "sync config: updated, deploy tool: updated"},
		{"include: no longer", "config", on("config", map[string]string{"apps/team/project.yaml": ""}), sync, "sync config: unchanged"},
		{"include: a push to what is no longer included", "team", on("team", map[string]string{"README.md": "words"}), "ignored", ""},
	}
}

func codeRows() []row {
	both := "deploy api, deploy web"
	return []row{
		{"code: a commit that touches no app", "code", on("code", map[string]string{"README.md": "more words"}), both, "deploy api: unchanged, deploy web: unchanged"},
		{"code: change", "code", on("code", map[string]string{"web/main": "1"}), both, "deploy api: unchanged, deploy web: updated"},
		{"code: watched path", "code", on("code", map[string]string{"lib/x": "2"}), both, "deploy api: updated, deploy web: unchanged"},
		{"code: rename", "code", on("code", map[string]string{"web/main": "", "web/start": "1"}), both, "deploy api: unchanged, deploy web: updated"},
		{"code: add", "code", on("code", map[string]string{"web/more": "1"}), both, "deploy api: unchanged, deploy web: updated"},
		{"code: revert", "code", on("code", map[string]string{"web/more": ""}), both, "deploy api: unchanged, deploy web: updated"},
		{"code: force push", "code", func(h *house) {
			before := h.head("code")
			h.commit("code", map[string]string{"api/main": "3"})
			h.push("code")
			h.settle()
			h.setRef("code", "refs/heads/main", before)
		}, both, "deploy api: updated, deploy web: unchanged"},
		{"code: move", "code", on("code", map[string]string{"web/Dockerfile": "", "web/start": "", "site/Dockerfile": "FROM scratch\n", "site/start": "1"}), both, "deploy api: unchanged, deploy web: rejected"},
		{"code: move back", "code", on("code", map[string]string{"web/Dockerfile": "FROM scratch\n", "web/start": "1", "site/Dockerfile": "", "site/start": ""}), both, "deploy api: unchanged, deploy web: unchanged"},
		{"code: asked to be skipped", "code", func(h *house) { h.commitAt("code", "", "[flycd skip]", map[string]string{"web/skipped": "1"}) }, "ignored", ""},
		{"code: the push after that", "code", on("code", map[string]string{"README.md": "words"}), both, "deploy api: unchanged, deploy web: updated"},
		{"code: new branch", "code", func(h *house) { h.commitAt("code", "next", "change", map[string]string{"web/main": "9"}) }, "ignored", ""},
		{"code: deleted branch", "code", func(h *house) { h.setRef("code", "refs/heads/next", "") }, "ignored", ""},
		{"code: apps that follow others than main", "config", edit("config", func(h *house) map[string]string {
			from := func(ref string) string {
				return "source: {type: git, repo: " + h.url("code") + ", path: api, ref: {" + ref + "}}"
			}
			h.commitAt("code", "release", "change", map[string]string{"api/main": "release"})
			h.setRef("code", "refs/tags/v1.0.0", h.head("code"))
			h.setRef("code", "refs/tags/stable", h.head("code"))
			h.push("code")
			h.settle()
			return map[string]string{
				"apps/branch/app.yaml": h.app("branched", "1", from("branch: release")), "apps/tag/app.yaml": h.app("tagged", "1", from("tag: stable")),
				"apps/range/app.yaml": h.app("ranged", "1", from("semver: '>=1.0 <2'")),
			}
		}), "sync config", "sync config: updated, deploy branched: created, deploy ranged: created, deploy tagged: created"},
		{"code: branch", "code", func(h *house) {
			h.commitAt("code", "release", "change", map[string]string{"api/main": "release 2"})
		}, "deploy branched", "deploy branched: updated"},
		{"code: tag that is nobody's", "code", func(h *house) { h.setRef("code", "refs/tags/other", h.ref("code", "release")) }, "deploy ranged", "deploy ranged: unchanged"},
		{"code: tag", "code", func(h *house) { h.setRef("code", "refs/tags/stable", h.ref("code", "release")) }, "deploy ranged, deploy tagged", "deploy ranged: unchanged, deploy tagged: updated"},
		{"code: semver tag", "code", func(h *house) { h.setRef("code", "refs/tags/v1.1.0", h.ref("code", "release")) }, "deploy ranged", "deploy ranged: updated"},
		{"code: semver tag out of range", "code", func(h *house) { h.setRef("code", "refs/tags/v2.0.0", h.head("code")) }, "deploy ranged", "deploy ranged: unchanged"},
		{"code: deleted tag", "code", func(h *house) { h.setRef("code", "refs/tags/v2.0.0", "") }, "ignored", ""},
	}
}

// selfRows are of a repository that is an app's code and a config tree at once, whose code another tree's app has too.
func selfRows() []row {
	return []row{
		{"self: change of the code", "self", on("self", map[string]string{"main": "1"}), "sync self", "sync self: updated, deploy self: updated"},
		{"self: change of the manifest", "self", edit("self", one("app.yaml", yaml("self", "2", "source: {type: local}"))), "sync self", "sync self: updated, deploy self: updated"},
		{"self: another tree's app has its code", "config", edit("config", func(h *house) map[string]string {
			return map[string]string{"apps/twin/app.yaml": h.app("twin", "1", "source: {type: git, repo: "+h.url("self")+"}")}
		}), "sync config", "sync config: updated, deploy twin: created"},
		{"self: change for both", "self", on("self", map[string]string{"main": "2"}), "sync self, deploy twin", "sync self: updated, deploy twin: updated, deploy self: updated"},
		{"self: its name is taken elsewhere", "config", edit("config", one("apps/thief/app.yaml", yaml("self", "1"))), "sync config", "sync config: rejected"},
		{"self: and given back", "config", on("config", map[string]string{"apps/thief/app.yaml": ""}), "sync config", "sync config: unchanged"},
	}
}

// fleetRows are of the tree that has all the others.
func fleetRows() []row {
	return []row{
		{"fleet: a commit that touches no app", "fleet", on("fleet", map[string]string{"README.md": "words"}), "sync fleet", "sync fleet: unchanged"},
		{"fleet: change", "fleet", edit("fleet", one("big/app.yaml", yaml("big", "2"))), "sync fleet", "sync fleet: updated, deploy big: updated"},
	}
}
