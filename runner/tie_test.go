package runner_test

import (
	"slices"
	"testing"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/source"
)

// GitHub tells the time of a push in whole seconds and orders no deliveries. When several pushes of one
// second come in the wrong order, the head is deployed in the end, whichever comes last.
func TestPushesOfOneSecondEndAtTheHead(t *testing.T) {
	for _, last := range [][]int{{4, 2}, {4, 0}, {4, 2, 1}} {
		onBoth(t, func(h *house) {
			img := h.Image("web:1")
			config := h.Repo("config")
			h.roots = []job.Config{{Repo: config.URL}}
			h.push(config, config.Commit(map[string]string{"web/app.yaml": yaml("web", img, "first")}))
			h.drain()
			// 3 is deployed first; then come the others
			pushed := h.pushedAtOnce(config, 5, func(n string) map[string]string { return map[string]string{"web/app.yaml": yaml("web", img, n)} })
			at := h.clock + 10
			h.pushAt(config, pushed[3], at)
			h.drain()
			for _, n := range last {
				h.pushAt(config, pushed[n], at)
			}
			h.drain()
			if got := h.env("web", "GREETING"); !slices.Equal(got, []string{"4"}) {
				t.Errorf("after 3 and %v web says %v, want what the head says", last, got)
			}
		})
	}
}

// The same holds for the pushes of a repository that need a fan-out.
func TestFanOutsOfOneSecondEndAtTheHead(t *testing.T) {
	onBoth(t, func(h *house) {
		config, code := h.Repo("config"), h.Repo("code")
		h.roots = []job.Config{{Repo: config.URL}}
		manifests, folders := map[string]string{}, map[string]string{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			manifests[name+"/app.yaml"], folders[name+"/Dockerfile"] = gitYAML(name, code.URL, name), dockerfile
		}
		code.Commit(folders)
		h.push(config, config.Commit(manifests))
		h.drain()
		pushed := h.pushedAtOnce(code, 5, func(n string) map[string]string { return map[string]string{"a/main": n} })
		at := h.clock + 10
		h.pushAt(code, pushed[3], at)
		h.drain()
		h.pushAt(code, pushed[4], at)
		h.pushAt(code, pushed[2], at)
		h.drain()
		if got, want := h.env("a", "FLYCD_APP_SOURCE_REF_COMMIT"), []string{pushed[4].After}; !slices.Equal(got, want) {
			t.Errorf("a is of commit %v, want the head %v of %v", got, want, pushed)
		}
	})
}

// pushedAtOnce makes n commits, each of the files that belong to its number.
func (h *house) pushedAtOnce(r *deploytest.Repo, n int, files func(n string) map[string]string) []source.Change {
	var list []source.Change
	for i := range n {
		list = append(list, r.Commit(files(string(rune('0'+i)))))
	}
	return list
}
