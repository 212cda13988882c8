package catalog_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

func TestPushTouchesAtMostThreeKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		push catalog.Push
		want []string
	}{
		{
			"default branch",
			catalog.Push{Repo: "https://github.com/Acme/Code.git", Ref: "refs/heads/main", DefaultBranch: "main"},
			[]string{"github.com/acme/code@refs/heads/main", "github.com/acme/code@HEAD"},
		},
		{
			"other branch",
			catalog.Push{Repo: "git@github.com:acme/code", Ref: "refs/heads/dev", DefaultBranch: "main"},
			[]string{"github.com/acme/code@refs/heads/dev"},
		},
		{
			"tag",
			catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/tags/v1", DefaultBranch: "main"},
			[]string{"github.com/acme/code@refs/tags/v1", "github.com/acme/code@refs/tags/*"},
		},
		{
			"a tag that is called like the default branch",
			catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/tags/main", DefaultBranch: "main"},
			[]string{"github.com/acme/code@refs/tags/main", "github.com/acme/code@refs/tags/*"},
		},
		{
			"unknown default branch",
			catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/heads/"},
			[]string{"github.com/acme/code@refs/heads/"},
		},
		{
			"branch with slashes and a capital",
			catalog.Push{Repo: "https://github.com/acme/code", Ref: "refs/heads/Feature/x", DefaultBranch: "Feature/x"},
			[]string{"github.com/acme/code@refs/heads/Feature/x", "github.com/acme/code@HEAD"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := catalog.Keys(c.push); !slices.Equal(got, c.want) {
				t.Errorf("keys are %q, want %q", got, c.want)
			}
		})
	}
}

func TestEntryFollowsItsRef(t *testing.T) {
	const repo = "https://github.com/acme/code"
	for _, c := range []struct {
		name  string
		entry catalog.Entry
		want  []string
	}{
		{"default branch", catalog.Entry{Auto: true, Source: catalog.Source{Repo: repo}}, []string{"github.com/acme/code@HEAD"}},
		{"branch", catalog.Entry{Auto: true, Source: catalog.Source{Repo: repo, Ref: "refs/heads/main"}}, []string{"github.com/acme/code@refs/heads/main"}},
		{"versions", catalog.Entry{Auto: true, Source: catalog.Source{Repo: repo, Ref: catalog.AnyTag}}, []string{"github.com/acme/code@refs/tags/*"}},
		{
			"short ref",
			catalog.Entry{Auto: true, Source: catalog.Source{Repo: repo, Ref: "v1"}},
			[]string{"github.com/acme/code@refs/heads/v1", "github.com/acme/code@refs/tags/v1"},
		},
		{"pinned commit", catalog.Entry{Auto: true, Source: catalog.Source{Repo: repo, Commit: "abc"}}, nil},
		{"no source of its own", catalog.Entry{Auto: true}, nil},
		{"no auto-sync", catalog.Entry{Source: catalog.Source{Repo: repo}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := catalog.EntryKeys(c.entry); !slices.Equal(got, c.want) {
				t.Errorf("keys are %q, want %q", got, c.want)
			}
		})
	}
}

// A route is found by a push exactly if one of its keys is one of the push's.
func TestRouteMeetsItsPush(t *testing.T) {
	push := catalog.Push{Repo: "ssh://git@github.com:22/acme/code.git", Ref: "refs/heads/main", DefaultBranch: "main"}
	for ref, want := range map[string]bool{"": true, "main": true, "refs/heads/main": true, "HEAD": true, "dev": false, "refs/tags/main": false} {
		got := false
		for _, k := range catalog.ConfigKeys(job.Config{Repo: "https://github.com/acme/code", Ref: ref}) {
			got = got || slices.Contains(catalog.Keys(push), k)
		}
		if got != want {
			t.Errorf("a tree at %q is met: %v, want %v", ref, got, want)
		}
	}
}

func mainPush() catalog.Push {
	return catalog.Push{
		Repo: "https://github.com/acme/code.git", Ref: "refs/heads/main", DefaultBranch: "main",
		Before: "b", After: "a", Time: 1000, Delivery: "guid", Actor: "eve",
	}
}

func apps(names ...string) []catalog.Route {
	var routes []catalog.Route
	for _, n := range names {
		routes = append(routes, catalog.Route{App: n, Org: "acme", Config: job.Config{Repo: "https://github.com/acme/config"}})
	}
	return routes
}

func TestPushMakesJobs(t *testing.T) {
	tree := job.Config{Repo: "git@github.com:acme/code.git", Path: "fly"}
	elsewhere := job.Config{Repo: "https://github.com/acme/config"}
	five := []string{"a", "b", "c", "d", "e"}
	deleted := mainPush()
	deleted.Deleted, deleted.After = true, strings.Repeat("0", 40)
	skipped := mainPush()
	skipped.Skip, skipped.After = true, "0123456789abcdef"
	for _, c := range []struct {
		name    string
		push    catalog.Push
		found   catalog.Found
		want    []string
		ignored string
	}{
		{"nothing follows", mainPush(), catalog.Found{}, nil, "no app and no config tree follows refs/heads/main of github.com/acme/code"},
		{"deleted branch", deleted, catalog.Found{Routes: apps("web")}, nil, "refs/heads/main of github.com/acme/code was deleted: what it deployed stays as it is"},
		{
			"a head commit that asks to be skipped", skipped,
			catalog.Found{Routes: append(apps("web"), catalog.Route{Config: tree}), More: true},
			nil,
			"the head commit 0123456789ab of github.com/acme/code asks FlyCD to skip it: the next push without that deploys it too",
		},
		{
			"a tree that includes it, twice", mainPush(),
			catalog.Found{Routes: []catalog.Route{{Config: elsewhere, Generation: 3}, {Config: elsewhere}}},
			[]string{"sync github.com/acme/config"},
			"",
		},
		{"one app", mainPush(), catalog.Found{Routes: apps("web")}, []string{"deploy web"}, ""},
		{"five apps", mainPush(), catalog.Found{Routes: apps(five...)}, []string{"deploy a", "deploy b", "deploy c", "deploy d", "deploy e"}, ""},
		{"six apps", mainPush(), catalog.Found{Routes: apps(append(five, "f")...)}, []string{"sync fan-out:github.com/acme/code@refs/heads/main"}, ""},
		{"more than were looked up", mainPush(), catalog.Found{Routes: apps("web"), More: true}, []string{"sync fan-out:github.com/acme/code@refs/heads/main"}, ""},
		{"an app that two routes name", mainPush(), catalog.Found{Routes: apps("web", "web")}, []string{"deploy web"}, ""},
		{
			"a root and its own route", mainPush(),
			catalog.Found{Routes: []catalog.Route{{Config: tree}}, Roots: []job.Config{tree}},
			[]string{"sync github.com/acme/code#fly"},
			"",
		},
		{
			"roots elsewhere", mainPush(),
			catalog.Found{Roots: []job.Config{{Repo: "https://github.com/acme/other"}, {Repo: tree.Repo, Ref: "dev"}}},
			nil,
			"no app and no config tree follows refs/heads/main of github.com/acme/code",
		},
		{
			"tree and apps", mainPush(),
			catalog.Found{Routes: append(apps("web"), catalog.Route{Config: tree})},
			[]string{"sync github.com/acme/code#fly", "deploy web"},
			"",
		},
		{
			"tree and many apps", mainPush(),
			catalog.Found{Routes: append(apps("web"), catalog.Route{Config: tree}), More: true},
			[]string{"sync github.com/acme/code#fly", "sync fan-out:github.com/acme/code@refs/heads/main"},
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			jobs, ignored := catalog.Jobs(c.push, c.found, time.UnixMilli(5000))
			var got []string
			for _, j := range jobs {
				got = append(got, string(j.Kind)+" "+j.Subject())
				if _, err := j.Encode(); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("jobs are %q, want %q", got, c.want)
			}
			if ignored != c.ignored {
				t.Errorf("ignored is %q, want %q", ignored, c.ignored)
			}
		})
	}
}

// Broken when: the sync of a tree passes a commit of a repository that it includes for one of its own.
func TestSyncNamesWhatWasPushed(t *testing.T) {
	tree := job.Config{Repo: "https://github.com/acme/config", Path: "prod"}
	jobs, _ := catalog.Jobs(mainPush(), catalog.Found{Routes: []catalog.Route{{Config: tree, Generation: 3}}}, time.UnixMilli(5000))
	want := job.Half{Side: job.ConfigSide, Repo: "https://github.com/acme/code.git", Ref: "refs/heads/main", Default: true, Commit: "a"}
	if j := jobs[0]; j.Config != tree || j.Half != want {
		t.Errorf("sync of %+v with half %+v, want %+v", j.Config, j.Half, want)
	}
}

func TestIncludeFollowsItsRef(t *testing.T) {
	for ref, want := range map[string]string{
		"":                 "github.com/acme/lib@HEAD",
		"HEAD":             "github.com/acme/lib@HEAD",
		"refs/heads/main":  "github.com/acme/lib@refs/heads/main",
		"v1":               "github.com/acme/lib@refs/heads/v1 github.com/acme/lib@refs/tags/v1",
		"refs/tags/v1.2.3": "github.com/acme/lib@refs/tags/v1.2.3",
	} {
		if got := strings.Join(catalog.IncludeKeys(catalog.Include{Repo: "git@github.com:Acme/lib.git", Ref: ref}), " "); got != want {
			t.Errorf("ref %q follows %s, want %s", ref, got, want)
		}
	}
}

func TestJobIsPinnedToThePayload(t *testing.T) {
	jobs, _ := catalog.Jobs(mainPush(), catalog.Found{Routes: apps("web")}, time.UnixMilli(5000))
	j := jobs[0]
	want := job.Half{Side: job.SourceSide, Repo: "https://github.com/acme/code.git", Ref: "refs/heads/main", Default: true, Commit: "a"}
	if j.Half != want {
		t.Errorf("half is %+v, want %+v", j.Half, want)
	}
	if got, want := j.Order, (job.Order{Time: 1000, Before: "b", After: "a"}); got != want {
		t.Errorf("order is %+v, want %+v", got, want)
	}
	if j.Org != "acme" || j.Delivery != "guid" || j.Actor != "eve" || j.Config.Repo != "https://github.com/acme/config" || j.Low {
		t.Errorf("job is %+v", j)
	}
}

// Two hooks give one push two GUIDs; it is still one job.
func TestOnePushSeenTwiceIsOneJob(t *testing.T) {
	a, b := mainPush(), mainPush()
	b.Delivery, b.Repo = "other", "git@github.com:acme/code.git"
	found := catalog.Found{Routes: apps("web"), Roots: []job.Config{{Repo: a.Repo}}}
	first, _ := catalog.Jobs(a, found, time.UnixMilli(5000))
	second, _ := catalog.Jobs(b, found, time.UnixMilli(6000))
	for i := range first {
		if first[i].ID != second[i].ID {
			t.Errorf("job %d is %s and %s", i, first[i].ID, second[i].ID)
		}
	}
}

func TestPushWithoutATimeIsOrderedByArrival(t *testing.T) {
	p := mainPush()
	p.Time = 0
	jobs, _ := catalog.Jobs(p, catalog.Found{Routes: apps("web")}, time.UnixMilli(5000))
	if got, want := jobs[0].Order.Time, int64(5000); got != want {
		t.Errorf("time is %d, want %d", got, want)
	}
}

func TestFanOutIsLow(t *testing.T) {
	jobs, _ := catalog.Jobs(mainPush(), catalog.Found{More: true}, time.UnixMilli(5000))
	if !jobs[0].Low || jobs[0].Half.Repo == "" || jobs[0].Config.Repo != "" {
		t.Errorf("fan-out is %+v", jobs[0])
	}
}
