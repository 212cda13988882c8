package deploy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestPruneTakesNothingThatIsWanted edits a tree at random, with mistakes in it, lets syncs die at random calls while
// the jobs that they pushed go on, and looks at every app that is destroyed: no tree names it, it asked for it when it
// was named last, FlyCD made it, and it holds no data, unless a person confirmed that. No sync destroys more than the
// limit, however often it runs, and none where the tree has a mistake.
func TestPruneTakesNothingThatIsWanted(t *testing.T) {
	few(t)
	steps := 7
	if raced {
		steps = 3
	}
	q, err := queue.Open(queuetest.Embedded(t), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	d := &desk{World: deploytest.New(t, flysim.Options{}), t: t, queue: q, clock: time.Now().UnixMilli()}
	img, n, seen := d.Image("web:1"), 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		seed := rapid.Uint64().Draw(rt, "seed")
		o := &orchard{desk: d, rt: rt, rng: rand.New(rand.NewPCG(seed, seed)), image: img, tag: fmt.Sprint(n), apps: map[string]*tended{}, confirmed: map[string]bool{}, seen: seen}
		o.repo = d.Repo("config-" + o.tag)
		for range steps {
			o.edit()
			o.sync()
			if o.flip(70) {
				o.work()
			}
		}
	})
	t.Logf("seen: %v", seen)
	for _, what := range []string{"destroyed", "with a mistake", "died"} {
		if seen[what] == 0 && !raced {
			t.Errorf("nothing was %s: the test is about it", what)
		}
	}
}

// slots is how many apps come and go.
const slots = 9

// tended is one app of the random tree as it was written last.
type tended struct {
	// an alien is somebody else's, and empty where it has no machine.
	named, broken, prune, data, alien, empty bool
	most, dir                                string
	made, lives                              bool // an alien is made on Fly once; lives: it was there when it was looked at last
}

// orchard is a random tree on its way.
type orchard struct {
	*desk
	rt     *rapid.T
	rng    *rand.Rand
	image  string
	tag    string
	repo   *deploytest.Repo
	apps   map[string]*tended
	hidden bool
	// syncing says that a sync is under way, of which the test counts the jobs.
	syncing   bool
	confirmed map[string]bool
	seen      map[string]int
}

// flip is true so often of a hundred. Rapid draws the seed alone: what it draws is not even, and mistakes are to be rare.
func (o *orchard) flip(percent int) bool { return o.rng.IntN(100) < percent }

// edit draws what each app is in the next commit.
func (o *orchard) edit() {
	for i := range slots {
		name := fmt.Sprintf("o%s-%d", o.tag, i)
		a := o.apps[name]
		if a == nil {
			a = &tended{alien: i < 2, empty: i == 1, data: i == 2}
			o.apps[name] = a
		}
		a.named, a.broken = o.flip(50), false
		if !a.named {
			continue
		}
		a.broken = o.flip(5)
		a.prune = o.flip(65)
		a.most = []string{"", "1", "2", "20%"}[o.rng.IntN(4)]
		a.dir = fmt.Sprintf("%s/%d", []string{"a", "b"}[o.rng.IntN(2)], i)
		if a.alien && !a.made {
			a.made = true
			o.makeByHand(name, !a.empty)
		}
	}
	o.hidden = o.flip(10)
}

// files are the tree's.
func (o *orchard) files() map[string]string {
	out := map[string]string{"keep/app.yaml": o.manifest("keep-"+o.tag, "")}
	for name, a := range o.apps {
		if !a.named {
			continue
		}
		text := ""
		if a.prune {
			text = "sync: {prune: true, prune_grace: 0}\n"
			if a.most != "" {
				text = fmt.Sprintf("sync: {prune: true, prune_grace: 0, prune_max: %q}\n", a.most)
			}
		}
		if a.data {
			text += "mounts: [{source: data, destination: /data}]\n"
		}
		if out[a.dir+"/app.yaml"] = o.manifest(name, text); a.broken {
			out[a.dir+"/app.yaml"] = "app: ["
		}
	}
	if o.hidden {
		out["project.yaml"] = "project: ["
	}
	return out
}

func (o *orchard) manifest(name, more string) string {
	return "app: " + name + "\norg: personal\nprimary_region: ams\nsource: {type: image, image: " + o.image + "}\n" + more
}

// sync commits the tree and syncs it, perhaps in several runs of which all but the last die.
func (o *orchard) sync() {
	o.syncing = true
	defer func() { o.syncing = false }()
	files, before := o.files(), o.committed()
	for name := range before {
		if _, still := files[name]; !still {
			files[name] = ""
		}
	}
	files["n"] = fmt.Sprint(o.clock)
	req := o.wish(o.repo, o.repo.Commit(files))
	known, pushed, most := o.catalog(o.repo), o.destroys(), o.limit()
	for o.flip(40) {
		o.seen["died"]++
		if !o.crash(req, o.moment(), o.flip(50)) {
			break
		}
		if o.flip(60) {
			o.work()
		}
	}
	res, err := o.syncer(o.queue).Sync(o.t.Context(), req)
	mistake := o.hidden || slices.ContainsFunc(slices.Collect(maps.Values(o.apps)), func(a *tended) bool { return a.named && a.broken })
	if err != nil && !mistake {
		o.rt.Fatalf("sync: %v", err)
	}
	news := 0
	for id := range o.destroys() {
		if !pushed[id] {
			news++
		}
	}
	if mistake {
		o.seen["with a mistake"]++
		most = 0
	}
	if news > most {
		o.rt.Fatalf("one sync pushed %d destroys, and may push %d: %s %v", news, most, res.Outcome, res.Warnings)
	}
	o.compare(known)
}

// moment is the call at which a sync dies: more often one of the last.
func (o *orchard) moment() int {
	if o.flip(50) {
		return 10 + o.rng.IntN(5)
	}
	return 1 + o.rng.IntN(10)
}

// compare holds the catalog to the tree: what is named is there, also where it is broken and was there before; what is
// not named has gone, where nothing may hide it.
func (o *orchard) compare(known []string) {
	now := o.catalog(o.repo)
	mistake := o.hidden
	for _, a := range o.apps {
		mistake = mistake || a.named && a.broken
	}
	for name, a := range o.apps {
		there := slices.Contains(now, name)
		switch {
		case a.named && !a.broken && !o.hidden && !there:
			o.rt.Fatalf("%s is named, and not in the catalog: %v", name, now)
		case (o.hidden || a.named && a.broken) && slices.Contains(known, name) && !there:
			o.rt.Fatalf("%s may be named, and is no longer in the catalog: %v", name, now)
		case !a.named && !mistake && there:
			o.rt.Fatalf("%s is not named, and in the catalog: %v", name, now)
		}
	}
}

// limit is how many apps the next sync may destroy at most: by the most generous rule of those that may go, since which
// of them go is the sync's business, but never more than by the strictest of those that must.
func (o *orchard) limit() int {
	entries, err := o.queue.Entries(o.t.Context(), job.Config{Repo: o.repo.URL}.ID())
	if err != nil {
		o.rt.Fatal(err)
	}
	stones, err := o.queue.Tombstones(o.t.Context(), job.Config{Repo: o.repo.URL}.ID())
	if err != nil {
		o.rt.Fatal(err)
	}
	most, all := -1, 0
	rule := func(max, percent int) {
		n := max
		if percent > 0 {
			n = (all*percent + 99) / 100
		}
		if n == 0 {
			n = 3
		}
		if most < 0 || n < most {
			most = n
		}
	}
	all = len(o.apps) + 1
	for _, t := range stones {
		if t.Gone.IsZero() && t.Entry.Prune && !o.apps[t.App].named {
			rule(t.Entry.Pruning.Max, t.Entry.Pruning.Percent)
		}
	}
	for _, e := range entries {
		if a := o.apps[e.App]; a != nil && !a.named && e.Prune {
			rule(e.Pruning.Max, e.Pruning.Percent)
		}
	}
	return max(most, 0)
}

// committed are the manifests that are in the work tree.
func (o *orchard) committed() map[string]bool {
	out := map[string]bool{}
	for _, dir := range []string{"a", "b"} {
		for i := range slots {
			if name := fmt.Sprintf("%s/%d/app.yaml", dir, i); exists(o.repo.Dir, name) {
				out[name] = true
			}
		}
	}
	if exists(o.repo.Dir, "project.yaml") {
		out["project.yaml"] = true
	}
	return out
}

// destroys are the jobs that are, or were, to destroy apps of this tree.
func (o *orchard) destroys() map[job.ID]bool {
	out := map[job.ID]bool{}
	for name := range o.apps {
		list, err := o.queue.Jobs(o.t.Context(), queue.Filter{App: name})
		if err != nil {
			o.rt.Fatal(err)
		}
		for _, r := range list {
			if r.Job.Kind == job.Destroy && !r.Job.ByHand() {
				out[r.Job.ID] = true
			}
		}
	}
	return out
}

// work does the jobs that wait, and looks at what became of the apps. Now and then a person confirms that data may go.
func (o *orchard) work() {
	for {
		l, ok, err := o.queue.Take(o.t.Context(), 10)
		if err != nil {
			o.rt.Fatal(err)
		}
		if !ok {
			break
		}
		c, err := o.queue.Claim(o.t.Context(), l.Job.ID, l.Attempt, "m")
		if err != nil {
			o.rt.Fatal(err)
		}
		if a := o.apps[c.Job.App]; a != nil && !a.named && c.Job.Kind == job.Destroy && !o.syncing && o.flip(25) {
			// it is named again when the runner has the job already
			o.seen["named in between"]++
			a.named, a.broken, a.dir = true, false, fmt.Sprint("a/", strings.Split(c.Job.App, "-")[1])
			o.sync()
		}
		res := o.do(c)
		if err := o.queue.Finish(o.t.Context(), c, res); err != nil {
			o.rt.Fatal(err)
		}
		o.look(c.Job)
	}
	for _, name := range slices.Sorted(maps.Keys(o.apps)) {
		a := o.apps[name]
		if t, found, err := o.queue.Tombstone(o.t.Context(), name); err == nil && found && t.Outcome == job.Rejected && a.data && o.flip(30) {
			o.confirmed[name] = true
			o.clock++
			j := job.Job{ID: job.SaltedID(job.Destroy, name, fmt.Sprint(o.clock)), Kind: job.Destroy, App: name, Confirm: true, Reason: job.ByDispatch, Created: time.Now()}
			if _, _, err := o.queue.Push(o.t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
				o.rt.Fatal(err)
			}
			o.work()
		}
	}
}

// do does one job. Somebody else's app is never deployed: that is refused.
func (o *orchard) do(c *queue.Claim) job.Result {
	if a := o.apps[c.Job.App]; a != nil && a.alien && c.Job.Kind == job.Deploy {
		return job.Result{Outcome: job.Rejected, Detail: "somebody else's"}
	}
	dep := &deploy.Deployer{Fly: o.Fly(), Source: o.Source(), Images: o.Images(), Builder: image.Fact{}, Index: o.queue, Tombs: o.queue}
	res, err := dep.Deploy(o.t.Context(), deploy.Request{
		Job: c.Job, Config: c.Wish.Config, ConfigOrder: c.Wish.ConfigOrder, Entry: c.Entry, Last: c.App.Result, Fence: c.Fence, Final: true,
	})
	if err != nil {
		o.rt.Fatalf("%s %s: %v", c.Job.Kind, c.Job.App, err)
	}
	return res
}

// look holds every app that has gone from Fly to the law.
func (o *orchard) look(after job.Job) {
	there := map[string]bool{}
	for _, a := range o.Sim.State().Apps {
		there[a.Name] = true
	}
	named := o.catalog(o.repo)
	for name, a := range o.apps {
		gone := a.lives && !there[name]
		a.lives = there[name]
		if !gone {
			continue
		}
		o.seen["destroyed"]++
		t, found, err := o.queue.Tombstone(o.t.Context(), name)
		switch {
		case err != nil:
			o.rt.Fatal(err)
		case after.App != name || after.Kind != job.Destroy:
			o.rt.Fatalf("%s has gone after %s %s", name, after.Kind, after.App)
		case slices.Contains(named, name):
			o.rt.Fatalf("%s was destroyed, and is named", name)
		case a.alien:
			o.rt.Fatalf("%s was destroyed, and is somebody else's", name)
		case a.data && !after.Confirm:
			o.rt.Fatalf("%s was destroyed with its data, and nobody confirmed that", name)
		case !found || !t.Entry.Prune && !after.Confirm:
			o.rt.Fatalf("%s was destroyed, and did not ask for it: %+v", name, t)
		}
	}
}

// makeByHand makes an app as somebody does who knows nothing of FlyCD.
func (o *orchard) makeByHand(name string, machine bool) {
	calls := [][2]string{
		{"/v1/apps", fmt.Sprintf(`{"app_name":%q,"name":%q,"org_slug":"personal"}`, name, name)},
		{"/v1/apps/" + name + "/machines", fmt.Sprintf(`{"region":"ams","config":{"image":%q}}`, o.image)},
	}
	if !machine {
		calls = calls[:1]
	}
	for _, made := range calls {
		req, err := http.NewRequestWithContext(o.t.Context(), http.MethodPost, o.FlyURL+made[0], strings.NewReader(made[1]))
		if err != nil {
			o.rt.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+deploytest.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			o.rt.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode > 299 {
			o.rt.Fatalf("POST %s: %s", made[0], resp.Status)
		}
	}
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return err == nil
}
