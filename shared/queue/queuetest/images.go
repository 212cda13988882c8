package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

func imageLaws() []Law {
	return []Law{
		{"ImagesLeadToTheAppsThatNameThem", imagesLeadToTheAppsThatNameThem},
		{"ImageRoutesAreOfTheCurrentGeneration", imageRoutesAreOfTheCurrentGeneration},
		{"PushThatIsToldTwiceIsOne", pushThatIsToldTwiceIsOne},
		{"TagThatComesBackIsAnotherPush", tagThatComesBackIsAnotherPush},
		{"PushWithoutAMarkIsItsOwn", pushWithoutAMarkIsItsOwn},
		{"PushThatNobodyFollowsIsNotRemembered", pushThatNobodyFollowsIsNotRemembered},
		{"ManyAppsFollowOneImage", manyAppsFollowOneImage},
		{"ImageJobIsOneHoweverOftenItIsTold", imageJobIsOneHoweverOftenItIsTold},
		{"ImageJobTakesThePlaceOfWhatWaits", imageJobTakesThePlaceOfWhatWaits},
	}
}

// naming gives a tree a new generation: "web ghcr.io/acme/web:1" is an app and its image, whose digest it follows.
func (w *world) naming(c job.Config, at int64, lines ...string) {
	gen := w.writeNaming(c, lines...)
	w.turn(c, gen, at, true)
	w.must(w.q.DropGenerations(w.ctx, c))
}

func (w *world) writeNaming(c job.Config, lines ...string) (gen int64) {
	var list []catalog.Entry
	for _, l := range lines {
		app, image, _ := strings.Cut(l, " ")
		list = append(list, catalog.Entry{App: app, Org: "acme", Auto: true, Image: image, Policy: catalog.ImagePolicy{Digest: true}})
	}
	gen, conflicts := w.write(c, list)
	w.is("conflicts", len(conflicts), 0)
	return gen
}

// image is a push of ghcr.io/acme/web:1 with a digest that ends in the given digits.
func image(digest string) catalog.ImagePush {
	return pushOf("ghcr.io/acme/web:1@sha256:" + strings.Repeat("0", 64-len(digest)) + digest)
}

func pushOf(ref string) catalog.ImagePush {
	img, _ := catalog.ParseImage(ref)
	return catalog.ImagePush{Image: img}
}

// found looks pushes up, and says which apps name them.
func (w *world) found(want string, pushes ...catalog.ImagePush) []catalog.ImageFound {
	list, err := w.q.Images(w.ctx, pushes)
	w.must(err)
	var got []string
	for _, f := range list {
		var apps []string
		for _, r := range f.Routes {
			apps = append(apps, r.App)
		}
		slices.Sort(apps)
		got = append(got, strings.Join(apps, " "))
	}
	w.is("apps of the images", strings.Join(got, ", "), want)
	return list
}

func (w *world) stamp(p catalog.ImagePush) int64 { return w.found("web", p)[0].Stamp }

func imagesLeadToTheAppsThatNameThem(w *world) {
	c := tree("prod")
	w.naming(c, 1000, "web ghcr.io/Acme/web:1", "api GHCR.io/acme/web", "db postgres:17", "built ", "odd not an image")
	list := w.found("api web, db, ", image("a"), pushOf("index.docker.io/library/postgres:18"), pushOf("ghcr.io/acme/other:1"))
	route := list[1].Routes[0]
	w.is("route", fmt.Sprintf("%+v", route), fmt.Sprintf("%+v", catalog.ImageRoute{
		App: "db", Org: "acme", Config: c, Image: "postgres:17", Policy: catalog.ImagePolicy{Digest: true}, Auto: true, Generation: 1,
	}))
	w.is("nobody's stamp", list[2].Stamp, int64(0))
}

func imageRoutesAreOfTheCurrentGeneration(w *world) {
	c := tree("prod")
	w.naming(c, 1000, "web ghcr.io/acme/web:1", "api ghcr.io/acme/web:1")
	gen := w.writeNaming(c, "web ghcr.io/acme/web:1", "new ghcr.io/acme/web:1")
	w.found("api web", image("a"))
	w.turn(c, gen, 2000, true)
	w.found("new web", image("a"))
	w.must(w.q.DropGenerations(w.ctx, c))
	w.found("new web", image("a"))
	w.naming(c, 3000, "other nginx")
	w.found(", other", image("a"), pushOf("nginx"))
}

func pushThatIsToldTwiceIsOne(w *world) {
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	first := w.stamp(image("a"))
	w.is("it has a stamp", first > 0, true)
	w.until("the clock goes on", func() bool { return w.stamp(pushOf("ghcr.io/acme/web:1")) > first })
	w.is("stamp of the same push", w.stamp(image("a")), first)
}

// Broken when: a tag that is put back to what it was is taken for a push that was told before.
func tagThatComesBackIsAnotherPush(w *world) {
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	first := w.stamp(image("a"))
	w.until("the tag has moved", func() bool { return w.stamp(image("b")) > first || w.stamp(image("c")) > first })
	w.is("a later stamp", w.stamp(image("a")) > first, true)
}

func pushWithoutAMarkIsItsOwn(w *world) {
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	p := pushOf("ghcr.io/acme/web:1")
	first := w.stamp(p)
	w.until("it is another push", func() bool { return w.stamp(p) > first })
	p.At = "1417566161"
	marked := w.stamp(p)
	w.until("the clock goes on", func() bool { return w.stamp(pushOf("ghcr.io/acme/web:1")) > marked })
	w.is("stamp of the registry's time", w.stamp(p), marked)
}

func pushThatNobodyFollowsIsNotRemembered(w *world) {
	w.found("", image("a"))
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	w.is("it has a stamp", w.stamp(image("a")) > 0, true)
}

func manyAppsFollowOneImage(w *world) {
	var lines, names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("app-%04d", i))
		lines = append(lines, names[i]+" nginx")
	}
	w.naming(tree(""), 1000, lines...)
	w.found(strings.Join(names, " "), pushOf("nginx:1"))
}

func imageJobIsOneHoweverOftenItIsTold(w *world) {
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	j := w.imageJob(image("a"))
	w.push("waiting", j)
	w.is("job of the second hook", w.imageJob(image("a")).ID, j.ID)
	c := w.start(j)
	w.is("it pins nothing", c.Wish.Config == nil && c.Wish.Source == nil, true)
	w.push("claimed", w.imageJob(image("a")))
	var next job.Job
	w.until("the tag is another one", func() bool { next = w.imageJob(image("b")); return next.ID != j.ID })
	w.push("parked", next)
	w.finish(c, job.Updated)
	w.start(next)
}

func (w *world) imageJob(p catalog.ImagePush) job.Job {
	jobs, _ := catalog.ImageJobs([]catalog.ImagePush{p}, w.found("web", p), time.UnixMilli(1000))
	w.is("jobs", len(jobs), 1)
	return jobs[0]
}

// Broken when: a push to a registry is older than a push of code that waits, or loses its commit.
func imageJobTakesThePlaceOfWhatWaits(w *world) {
	w.naming(tree(""), 1000, "web ghcr.io/acme/web:1")
	code := source("web", "", "c1", 2000)
	w.push("waiting", code)
	j := w.imageJob(image("a"))
	w.push("waiting", j)
	w.state(code, "superseded")
	c := w.start(j)
	w.is("commit", c.Wish.Source.Commit, "c1")
}
