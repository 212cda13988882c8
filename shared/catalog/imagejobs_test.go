package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

func pushed(ref string) catalog.ImagePush {
	img, _ := catalog.ParseImage(ref)
	return catalog.ImagePush{Image: img, Delivery: "guid", Actor: "eve"}
}

func naming(n int, policy catalog.ImagePolicy) (routes []catalog.ImageRoute) {
	for i := range n {
		routes = append(routes, catalog.ImageRoute{
			App: fmt.Sprint("app-", i), Org: "acme", Config: job.Config{Repo: "https://github.com/acme/config"}, Image: "ghcr.io/acme/web:1.2", Policy: policy, Auto: true,
		})
	}
	return routes
}

func TestImagePushMakesJobs(t *testing.T) {
	follow, stay := catalog.ImagePolicy{Digest: true}, catalog.ImagePolicy{}
	stayed := func(i int) string {
		return fmt.Sprintf("app app-%d names ghcr.io/acme/web:1.2 without source.policy; set source.policy.digest to follow it", i)
	}
	one := pushed("ghcr.io/acme/web:1.2@" + digest)
	for _, c := range []struct {
		name    string
		pushes  []catalog.ImagePush
		found   []catalog.ImageFound
		want    string
		ignored string
	}{
		{"nobody names it", []catalog.ImagePush{one}, []catalog.ImageFound{{}}, "", "no app follows ghcr.io/acme/web"},
		{"one app", []catalog.ImagePush{one}, []catalog.ImageFound{{Routes: naming(1, follow)}}, "app-0", ""},
		{"an app that stays", []catalog.ImagePush{one}, []catalog.ImageFound{{Routes: naming(1, stay)}}, "", stayed(0)},
		{"one that follows and one that does not", []catalog.ImagePush{one}, []catalog.ImageFound{{Routes: append(naming(1, follow), naming(2, stay)[1])}}, "app-0", stayed(1)},
		{
			"many that stay",
			[]catalog.ImagePush{one},
			[]catalog.ImageFound{{Routes: naming(9, stay)}},
			"",
			strings.Join([]string{stayed(0), stayed(1), stayed(2), stayed(3), stayed(4), "and 4 more"}, "; "),
		},
		{"two pushes for one app", []catalog.ImagePush{one, one}, []catalog.ImageFound{{Routes: naming(1, follow)}, {Routes: naming(1, follow)}}, "app-0", ""},
		{"two pushes that nobody follows", []catalog.ImagePush{one, one}, []catalog.ImageFound{{}, {}}, "", "no app follows ghcr.io/acme/web"},
		{"two images", []catalog.ImagePush{pushed("nginx:1"), one}, []catalog.ImageFound{{}, {Routes: naming(1, follow)}}, "app-0", "no app follows docker.io/library/nginx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			jobs, ignored := catalog.ImageJobs(c.pushes, c.found, time.UnixMilli(5000))
			var got []string
			for _, j := range jobs {
				got = append(got, j.App)
				if _, err := j.Encode(); err != nil {
					t.Error(err)
				}
			}
			if strings.Join(got, " ") != c.want || ignored != c.ignored {
				t.Errorf("jobs of %q, ignored %q; want %q, %q", got, ignored, c.want, c.ignored)
			}
		})
	}
}

func TestImageJobPinsNothing(t *testing.T) {
	jobs, _ := catalog.ImageJobs([]catalog.ImagePush{pushed("ghcr.io/acme/web:1.2@" + digest)},
		[]catalog.ImageFound{{Stamp: 7, Routes: naming(1, catalog.ImagePolicy{Digest: true})}}, time.UnixMilli(5000))
	want := job.Job{
		ID: jobs[0].ID, Kind: job.Deploy, App: "app-0", Org: "acme", Config: job.Config{Repo: "https://github.com/acme/config"},
		Reason: job.ByPush, Delivery: "guid", Actor: "eve", Created: time.UnixMilli(5000).UTC(),
	}
	if jobs[0] != want {
		t.Errorf("job is %+v, want %+v", jobs[0], want)
	}
}

func TestManyImageJobsWaitBehindOthers(t *testing.T) {
	for n, low := range map[int]bool{1: false, catalog.MaxApps: false, catalog.MaxApps + 1: true} {
		jobs, _ := catalog.ImageJobs([]catalog.ImagePush{pushed("ghcr.io/acme/web:1.2")},
			[]catalog.ImageFound{{Routes: naming(n, catalog.ImagePolicy{Digest: true})}}, time.UnixMilli(5000))
		if len(jobs) != n || slices.ContainsFunc(jobs, func(j job.Job) bool { return j.Low != low }) {
			t.Errorf("%d apps: %d jobs, low should be %t", n, len(jobs), low)
		}
	}
}

// Broken when: one push is two jobs, or two pushes are one.
func TestImageJobsIDSaysWhatWasPushed(t *testing.T) {
	id := func(ref, at string, stamp int64) job.ID {
		p := pushed(ref)
		p.At = at
		jobs, _ := catalog.ImageJobs([]catalog.ImagePush{p}, []catalog.ImageFound{{Stamp: stamp, Routes: []catalog.ImageRoute{{
			App: "web", Image: p.Image.Repository + ":" + p.Image.Tag, Policy: catalog.ImagePolicy{Digest: true}, Auto: true,
		}}}}, time.Now())
		return jobs[0].ID
	}
	ids := map[job.ID]string{}
	for what, i := range map[string]job.ID{
		"push":           id("ghcr.io/acme/web:1@"+digest, "", 1),
		"another digest": id("ghcr.io/acme/web:1@"+digest[:70]+"2", "", 1),
		"another tag":    id("ghcr.io/acme/web:2@"+digest, "", 1),
		"another image":  id("ghcr.io/acme/api:1@"+digest, "", 1),
		"another port":   id("ghcr.io:5000/acme/web:1@"+digest, "", 1),
		"a later one":    id("ghcr.io/acme/web:1@"+digest, "", 2),
		"no digest":      id("ghcr.io/acme/web:1", "", 1),
		"its time alone": id("ghcr.io/acme/web:1", "5", 1),
		"a later time":   id("ghcr.io/acme/web:1", "6", 1),
	} {
		if other := ids[i]; other != "" {
			t.Errorf("%s and %s have one id", what, other)
		}
		ids[i] = what
	}
	if id("ghcr.io/acme/web:1@"+digest, "5", 1) != id("GHCR.io/Acme/Web:1@"+digest, "6", 1) {
		t.Error("one digest that is told at two times is two jobs")
	}
}
