package launch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	flyapi "github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/manifest"
)

// everything is an app that has one of each sort of thing that a deploy makes.
const everything = `
app: hello
org: acme
primary_region: ams
source: {type: image, image: IMAGE}
env: {GREETING: TEXT}
deploy: {release_command: "true"}
sync: {prune: true}
http_service: {internal_port: 8080}
mounts: [{source: data, destination: /data}]
secrets: [{name: API_KEY, type: env}]
certs: [{hostname: hello.example.com}]
network: {ips: [{v: v4}, {v: v6}, {egress: true, region: ams}]}
`

// TestGrantIsEnoughForItsJob deploys, plans, changes and takes back with grants alone.
func TestGrantIsEnoughForItsJob(t *testing.T) {
	w := deploytest.New(t, flysim.Options{})
	mint, err := w.Sim.Mint("acme")
	need(t, err)
	l := &launch.Launcher{App: "runners", BaseURL: w.FlyURL, Token: deploytest.Token, Mint: mint}
	img, repo := w.Image("hello:1"), w.Repo("config")
	entry := &catalog.Entry{App: "hello", Org: "acme", Prune: true}
	with := func(kind job.Kind) (*deploy.Deployer, deploy.Request) {
		j := job.Job{ID: job.SaltedID(kind, "hello", time.Now().String()), Kind: kind, App: "hello", Config: job.Config{Repo: repo.URL}, Created: time.Now(), Confirm: true}
		token, err := l.GrantFor(within(t, 10*time.Second), j, entry, time.Now().Add(time.Hour))
		need(t, err)
		o := deploytest.FlyOptions(w.FlyURL)
		o.Token = token
		client, err := flyapi.New(t.Context(), o)
		need(t, err)
		d := &deploy.Deployer{Fly: client, Source: w.Source(), Images: w.Images(), Builder: image.Fact{}, Now: time.Now, DigestKey: manifest.NewSecret("key")}
		d.Secrets.Env = map[string]string{"API_KEY": "an-api-key"}
		return d, deploy.Request{Job: j}
	}
	run := func(want job.Outcome, text, more string) {
		t.Helper()
		repo.Commit(map[string]string{"hello/app.yaml": strings.NewReplacer("IMAGE", img, "TEXT", text).Replace(everything) + more})
		d, req := with(job.Deploy)
		res, err := d.Deploy(t.Context(), req)
		if err != nil || res.Outcome != want {
			t.Fatalf("%s %s: %v, %+v", text, more, err, res)
		}
	}
	run(job.Created, "hi", "")
	run(job.Updated, "hi again", "")
	const addons = "addons: [{type: redis}, {type: tigris, name: hello-files}, {type: postgres, name: hello-db, secret: DB_URL}]\n"
	entry.Looks.Addons = true
	run(job.Updated, "hi again", addons)
	if state := w.Sim.State(); len(state.Addons) != 2 || len(state.Postgres) != 1 {
		t.Errorf("%d add-ons, %d databases, want two and one", len(state.Addons), len(state.Postgres))
	}

	d, req := with(job.Plan)
	p, err := d.Plan(t.Context(), req)
	if err != nil || !p.Plan.Empty() {
		t.Errorf("the plan has %q, %v", p.Summary, err)
	}
	entry.Looks.Addons = false
	run(job.Updated, "hi again", "")
	if state := w.Sim.State(); len(state.Addons) != 0 || len(state.Apps) != 1 {
		t.Errorf("%d add-ons, %d apps, want none and one", len(state.Addons), len(state.Apps))
	}
}
