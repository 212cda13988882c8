package deploy_test

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// wide is how many worlds are drawn side by side: a deploy mostly waits.
const wide = 8

// TestRandomManifestsComeTrue deploys random apps, and then other ones over them. After a deploy there is
// nothing to do: the plan is empty, and a second deploy writes nothing. And it does not matter what was there
// before: B over A is what B is on an account that knew nothing of the app, but for ids, volumes that are left
// over, and history.
func TestRandomManifestsComeTrue(t *testing.T) {
	few(t)
	for i := range wide / int(thinned()) {
		t.Run(fmt.Sprint("world ", i), func(t *testing.T) {
			t.Parallel()
			d := newDrawing(t)
			rapid.Check(t, func(rt *rapid.T) {
				d.apps++
				over, fresh := fmt.Sprint("over-", d.apps), fmt.Sprint("fresh-", d.apps)
				a, b := drawApp(rt, "A"), drawApp(rt, "B")
				if a.keys["mounts"] != nil { // what lies on a volume is not moved elsewhere
					b.keys["primary_region"], b.keys["extra_regions"] = a.keys["primary_region"], a.keys["extra_regions"]
				}
				d.comesTrue(rt, over, a)
				d.comesTrue(rt, over, b)
				d.comesTrue(rt, fresh, b)
				got, kept := d.shapeOf(over)
				want, needed := d.shapeOf(fresh)
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatalf("B alone, and B over A:\n%s\nA is\n%s\nB is\n%s", diff, a.manifest("a", d.images), b.manifest("b", d.images))
				}
				for volume, n := range needed {
					if kept[volume] < n {
						rt.Fatalf("B over A has %d volumes %s, B alone %d", kept[volume], volume, n)
					}
				}
			})
		})
	}
}

// few bounds the checks of each world, unless somebody asked for more.
func few(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	old := checks.Value.String()
	if old != checks.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", "4"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(old) })
}

// drawing is a world in which apps come and go.
type drawing struct {
	*bench
	images []string
	apps   int
}

func newDrawing(t *testing.T) *drawing {
	t.Helper()
	d := &drawing{bench: newBench(t, flysim.Options{})}
	d.deployer.DigestKey = manifest.NewSecret("the key of the test")
	d.deployer.Log = slog.New(slog.DiscardHandler)
	d.images = []string{d.Image("drawn:1"), d.Image("drawn:2")}
	return d
}

// comesTrue deploys what was drawn, and holds that nothing is left to do.
func (d *drawing) comesTrue(t *rapid.T, app string, what drawn) {
	repo := d.Repo(fmt.Sprint("config-", app, "-", d.n))
	text := what.manifest(app, d.images)
	repo.Commit(map[string]string{"app.yaml": text})
	deployer, tree := *d.deployer, job.Config{Repo: repo.URL}
	deployer.Secrets.Env = what.values
	do := func(name string) job.Result {
		d.n++
		req := jobOf(fmt.Sprint(name, d.n), app, tree, d.last[app])
		req.Job.Confirm = true
		res, err := deployer.Deploy(d.tb.Context(), req)
		if err != nil || !res.Outcome.Done() {
			t.Fatalf("%s deploy: %s %s %v\n%s", name, res.Outcome, res.Detail, err, text)
		}
		d.last[app] = res
		return res
	}
	first := do("first")
	p, err := deployer.Plan(d.tb.Context(), deploy.Request{Job: job.Job{ID: "plan", Kind: job.Plan, App: app, Config: tree, Confirm: true}, Last: d.last[app]})
	if err != nil || !p.Plan.Empty() {
		t.Fatalf("after the deploy there is more to do: %q, %v; it did %q\n%s", p.Summary, err, first.Changes, text)
	}
	d.FlyRequests.Reset()
	if res := do("second"); res.Outcome != job.Unchanged {
		t.Fatalf("the second deploy is %s: %q\n%s", res.Outcome, res.Changes, text)
	}
	if w := d.FlyRequests.Writes(); len(w) > 0 {
		t.Fatalf("the second deploy wrote: %q\n%s", w, text)
	}
}

// shapeOf gives what Fly holds of the app, whatever its name is, without its volumes, and how many of these
// there are by name and region: their size is what it was, or larger.
func (d *drawing) shapeOf(app string) (shape []string, volumes map[string]int) {
	volumes = map[string]int{}
	size := regexp.MustCompile(`,"size_gb":\d+`)
	for line := range strings.SplitSeq(strings.ReplaceAll(d.shape(app), app, "APP"), "\n") {
		line = size.ReplaceAllString(line, "")
		if rest, ok := strings.CutPrefix(line, "volume "); ok {
			name, _, _ := strings.Cut(rest, " size_gb=")
			volumes[name]++
			continue
		}
		// the digest of a secret is salted with the app; that it is the value's was just proven
		if name, ok := strings.CutPrefix(line, "secret "); ok {
			name, _, _ = strings.Cut(name, " ")
			line = "secret " + name
		}
		shape = append(shape, line)
	}
	slices.Sort(shape)
	return shape, volumes
}

// drawn is an app without its name.
type drawn struct {
	keys   map[string]any
	image  int
	hosts  []string
	values map[string]string
}

// manifest writes the app.yaml.
func (d drawn) manifest(app string, images []string) string {
	all := maps.Clone(d.keys)
	all["app"], all["source"] = app, map[string]any{"type": "image", "image": images[d.image]}
	var certs []any
	for _, h := range d.hosts {
		certs = append(certs, map[string]any{"hostname": h + "." + app + ".example.com"})
	}
	if len(certs) > 0 {
		all["certs"] = certs
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func drawApp(t *rapid.T, label string) drawn {
	pick := picker{t, label}
	d := drawn{image: pick.upTo(1, "image"), hosts: pick.some("hosts", "www", "api"), values: map[string]string{}}
	d.keys = map[string]any{
		"org": "personal", "primary_region": pick.one("primary", "ams", "fra"), "extra_regions": pick.some("extra", "arn", "iad"),
		"sync": map[string]any{"prune": true}, "secrets_prune": true, "on_failure": "none",
		"env":     map[string]any{"GREETING": pick.one("greeting", "hi", "hello", ""), pick.one("variable", "A", "B"): "1"},
		"network": map[string]any{"auto_prune_ips": true, "ips": pick.addresses()},
	}
	var secrets []any
	for _, name := range pick.some("secrets", "API_KEY", "OTHER_KEY") {
		d.values[name] = name + pick.one("value of "+name, "-value-one", "-value-two")
		secrets = append(secrets, map[string]any{"name": name, "type": "env"})
	}
	d.put("secrets", secrets)
	if pick.maybe("scheduled") {
		d.put("schedules", []any{map[string]any{"name": pick.one("schedule", "nightly", "tidy"), "command": "tidy up", "every": pick.one("every", "hourly", "daily")}})
	}
	if pick.maybe("with a file") {
		d.put("files", []any{map[string]any{"guest_path": "/etc/drawn", "raw_value": pick.one("content", "eA==", "eQ==")}})
	}
	// without a size, machines keep the one that they have, as flyctl does
	d.put("vm", []any{map[string]any{"size": pick.one("size", "shared-cpu-1x", "shared-cpu-2x"), "memory": "512mb"}})
	pick.groups(d)
	return d
}

func (d drawn) put(key string, list []any) {
	if len(list) > 0 {
		d.keys[key] = list
	}
}

// picker draws for one of the two apps.
type picker struct {
	t     *rapid.T
	label string
}

func (p picker) maybe(what string) bool { return rapid.Bool().Draw(p.t, p.label+" "+what) }

func (p picker) one(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(p.t, p.label+" "+what)
}

func (p picker) upTo(n int, what string) int {
	return rapid.IntRange(0, n).Draw(p.t, p.label+" "+what)
}

func (p picker) some(what string, from ...string) []string {
	var out []string
	for _, s := range from {
		if p.maybe(what + " " + s) {
			out = append(out, s)
		}
	}
	return out
}

// addresses draws at least one: where none is named, those that there are stay.
func (p picker) addresses() []any {
	ips := []any{map[string]any{"v": "v6"}}
	for _, ip := range []map[string]any{
		{"v": "v4", "shared": true}, {"v": "v4"}, {"v": "v6", "private": true}, {"v": "v4", "egress": true, "region": "ams"},
	} {
		if p.maybe(fmt.Sprint("address ", ip)) {
			ips = append(ips, ip)
		}
	}
	return ips
}

// groups draws the process groups: how many machines each has, and what belongs to it.
func (p picker) groups(d drawn) {
	names := p.some("group", "web", "worker", "db")
	processes, machines := map[string]any{}, map[string]any{}
	for _, name := range names {
		processes[name] = "run " + name
	}
	if len(names) == 0 {
		names = []string{"app"}
	} else {
		d.keys["processes"] = processes
	}
	for _, name := range names {
		machines[name] = map[string]any{"count": p.upTo(2, name+" count")}
	}
	d.keys["machines"] = machines
	strategies := []string{"rolling", "immediate", "canary"}
	if mounts := p.some("mounts", names...); len(mounts) > 0 {
		strategies = strategies[:2]
		var list []any
		for _, name := range mounts {
			list = append(list, map[string]any{
				"source": name + "_data", "destination": p.one(name+" destination", "/data", "/var"), "initial_size": fmt.Sprint(1+p.upTo(1, name+" size"), "gb"),
				"processes": []string{name},
			})
		}
		d.put("mounts", list)
	}
	if serving := p.some("serves", names...); len(serving) > 0 {
		service := map[string]any{"internal_port": 8080, "processes": serving}
		if p.maybe("checked") {
			service["checks"] = []any{map[string]any{"path": "/", "interval": "2s", "timeout": "1s"}}
			if len(serving) == len(names) && len(strategies) > 2 {
				strategies = append(strategies, "bluegreen")
			}
		}
		d.keys["http_service"] = service
	}
	section := map[string]any{"strategy": p.one("strategy", strategies...), "wait_timeout": "10s"}
	if p.maybe("released") {
		section["release_command"] = "migrate"
	}
	d.keys["deploy"] = section
	if restarts := p.some("restarts", names...); len(restarts) > 0 {
		d.put("restart", []any{map[string]any{"policy": p.one("policy", "always", "on-failure"), "processes": restarts}})
	}
}
