package forge_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// office is a queue, a forge and people's webhooks with a Post between them.
type office struct {
	*world
	t    *testing.T
	q    *queue.Queue
	post *forge.Post
	box  *postbox
	n    int
}

// tree is the config tree of every test: a folder of a repository that is the apps' source, too.
func (w *world) tree() job.Config { return job.Config{Repo: w.repo, Path: "prod"} }

func newOffice(t *testing.T, url string) *office {
	t.Helper()
	w := newWorld(t)
	q, err := queue.Open(url, "")
	must(t, err)
	t.Cleanup(func() { _ = q.Close() })
	q.Times.Outbox.Backoff = time.Millisecond
	o := &office{world: w, t: t, q: q, box: newPostbox(t)}
	o.post = postAt(q, w.client(botToken), o.box.URL)
	return o
}

// postAt is a Post as a dispatcher has it.
func postAt(q *queue.Queue, c *forge.Client, box string) *forge.Post {
	return &forge.Post{
		Events: q, Outbox: q, Jobs: q, Forge: c, Link: "https://flycd.example/jobs/{job}",
		Destinations: map[string]forge.Destination{
			"ci": {URL: box + "/ci", Secret: "s3cret"}, "chat": {URL: box + "/chat", Slack: true},
		},
		Allow: []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(box, "http://"))},
	}
}

// each runs a law with both servers.
func each(t *testing.T, law func(o *office)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { law(newOffice(t, queuetest.Embedded(t))) })
	t.Run("redis", func(t *testing.T) { law(newOffice(t, queuetest.Redis(t))) })
}

// postbox takes notices in.
type postbox struct {
	*httptest.Server
	mu    sync.Mutex
	mail  map[string][]string // the bodies by path, those that came again once
	seen  map[string]bool
	again int
	wrong func() bool
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	b := &postbox{mail: map[string][]string{}, seen: map[string]bool{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender was killed while it wrote
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if id := r.URL.Path + r.Header.Get(forge.DeliveryHeader); b.seen[id] {
			b.again++
		} else {
			b.seen[id] = true
			b.mail[r.URL.Path] = append(b.mail[r.URL.Path], string(body))
		}
		if b.wrong != nil && b.wrong() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *postbox) got(path string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.mail[path]...)
}

// notices are what a program got.
func (o *office) notices() []forge.Notice {
	o.t.Helper()
	var list []forge.Notice
	for _, body := range o.box.got("/ci") {
		var n forge.Notice
		must(o.t, json.Unmarshal([]byte(body), &n))
		list = append(list, n)
	}
	return list
}

// catalog makes the tree name apps.
func (o *office) catalog(entries ...catalog.Entry) {
	o.t.Helper()
	ctx, tree := o.t.Context(), o.tree()
	gen, err := o.q.BeginGeneration(ctx, tree)
	must(o.t, err)
	for i := range entries {
		entries[i].Config = tree
	}
	_, err = o.q.WriteEntries(ctx, tree, gen, entries)
	must(o.t, err)
	o.n++
	_, err = o.q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Commit: o.commit, Order: job.Order{Time: int64(o.n)}})
	must(o.t, err)
}

// web is the entry of an app that is built from the repository.
func (o *office) web() catalog.Entry {
	return catalog.Entry{
		App: "web", Dir: "prod/eu/web", Auto: true, Source: catalog.Source{Repo: o.repo},
		Notify: []catalog.Notify{{To: "ci", On: []string{"success", "failure", "cancelled"}}, {To: "chat"}},
	}
}

// job is a push's job for web at the commit, unless change says otherwise.
func (o *office) job(change func(j *job.Job)) job.Job {
	o.n++
	j := job.Job{
		Kind: job.Deploy, App: "web", Config: o.tree(), Half: job.Half{Side: job.SourceSide, Repo: o.repo, Ref: "refs/heads/main", Commit: o.commit},
		Order: job.Order{Time: int64(1000 + o.n)}, Reason: job.ByPush, Created: time.Now(), Actor: "ann",
	}
	j.ID = job.SaltedID(j.Kind, "web", fmt.Sprint(o.n))
	if change != nil {
		change(&j)
	}
	return j
}

func (o *office) push(j job.Job) job.Job {
	o.t.Helper()
	_, _, err := o.q.Push(o.t.Context(), queue.Delivery{Jobs: []job.Job{j}})
	must(o.t, err)
	return j
}

func (o *office) start(j job.Job) *queue.Claim {
	o.t.Helper()
	list, err := o.q.TakeMany(o.t.Context(), 100, 100)
	must(o.t, err)
	for _, l := range list {
		if l.Job.ID == j.ID {
			c, err := o.q.Claim(o.t.Context(), j.ID, l.Attempt, "m1")
			must(o.t, err)
			return c
		}
	}
	o.t.Fatalf("job %s is not launched", j.ID)
	return nil
}

// run lets a job end.
func (o *office) run(j job.Job, r job.Result) {
	o.t.Helper()
	o.push(j)
	must(o.t, o.q.Finish(o.t.Context(), o.start(j), r))
}

// deliver delivers until nothing is left.
func (o *office) deliver() {
	o.t.Helper()
	for range 200 {
		_, err := o.post.Deliver(o.t.Context(), 10*time.Second)
		must(o.t, err)
		next, n, err := o.q.LettersDue(o.t.Context())
		must(o.t, err)
		if n == 0 {
			return
		}
		if wait := time.Until(next); wait > 2*time.Second {
			o.t.Fatalf("%d letters wait for %s", n, wait)
		} else if wait > 0 {
			time.Sleep(wait)
		}
	}
	o.t.Fatal("letters are left")
}

// shown is what commits show, oldest first, without the job's id.
func (o *office) shown() []string {
	o.t.Helper()
	var list []string
	for _, s := range o.state(o.t).Statuses {
		text, _, _ := strings.Cut(s.Description, " · ")
		list = append(list, s.Context+" "+s.State+" "+text)
	}
	return list
}

func (o *office) shows(want ...string) {
	o.t.Helper()
	if got := o.shown(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		o.t.Errorf("the forge shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func updated(release int) job.Result {
	return job.Result{Outcome: job.Updated, Release: release, URL: "https://web.fly.dev"}
}

func fault(method, path string, do forgesim.Effect) forgesim.Fault {
	return forgesim.Fault{Match: forgesim.Match{Method: method, Path: path}, Do: do}
}
