package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const threeAddons = `
addons:
  - {type: redis}
  - {type: tigris, name: hello-files}
  - {type: postgres, name: hello-db, secret: DB_URL}
`

const apiKey = "secrets: [{name: API_KEY, type: env}]\n"

// helloApp is one app in a repository of its own, by its text.
type helloApp struct {
	*bench
	tree   job.Config
	commit func(text string)
}

// appBench is a world with hello, whose manifest commit adds a text to.
func appBench(t *testing.T) helloApp {
	t.Helper()
	b := newBench(t, flysim.Options{})
	b.deployer.DigestKey = manifest.NewSecret("the key of the test")
	b.deployer.Secrets.Env = map[string]string{"API_KEY": "first-api-key"}
	img := b.Image("hello:1")
	repo := b.Repo("config")
	commit := func(text string) { repo.Commit(map[string]string{"hello/app.yaml": manifestOf(img, "hi") + text}) }
	return helloApp{b, job.Config{Repo: repo.URL}, commit}
}

// run deploys hello.
func (a helloApp) run() job.Result { a.tb.Helper(); return a.deploy("hello", a.tree, nil) }

// confirmed deploys hello on a person's word.
func (a helloApp) confirmed() job.Result {
	a.tb.Helper()
	return a.deploy("hello", a.tree, func(r *deploy.Request) { r.Job.Confirm = true })
}

// rests demands that nothing is left to do, in a plan and in a deploy, which writes nothing to Fly.
func (a helloApp) rests(t *testing.T) {
	t.Helper()
	p, err := a.deployer.Plan(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Plan, "hello", "x"), Kind: job.Plan, App: "hello", Config: a.tree}})
	if err != nil || !p.Plan.Empty() {
		t.Errorf("the plan has %q, %v", p.Summary, err)
	}
	delete(a.last, "hello")
	before := a.shape("hello")
	a.FlyRequests.Reset()
	a.expect(a.run(), job.Unchanged)
	if w := a.secretWrites() + a.machineWrites(); w > 0 || a.shape("hello") != before {
		t.Errorf("unchanged wrote to Fly: %v", a.FlyRequests.Writes())
	}
}

// secrets gives the digests of hello's secrets.
func (b *bench) secrets() map[string]string {
	out := map[string]string{}
	for _, a := range b.Sim.State().Apps {
		for _, s := range a.Secrets {
			if a.Name == "hello" {
				out[s.Name] = s.Digest
			}
		}
	}
	return out
}

// services are the add-ons that there are, by name.
func (b *bench) services() []string {
	var out []string
	state := b.Sim.State()
	for _, a := range state.Addons {
		out = append(out, a.Name)
	}
	for _, c := range state.Postgres {
		if c.Status != "deleted" {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

// ask asks Fly's GraphQL, as somebody else would.
func (b *bench) ask(query string, variables any) string {
	b.tb.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		b.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.tb.Context(), http.MethodPost, b.FlyURL+"/graphql", bytes.NewReader(body))
	if err != nil {
		b.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(text), `"errors"`) {
		b.tb.Fatalf("%s: %s, %v", query, text, err)
	}
	return string(text)
}

func bucketSecrets() []string {
	return []string{"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "BUCKET_NAME"}
}

func TestAddonsAreMadeAttachedAndLeftAlone(t *testing.T) {
	a := appBench(t)
	a.commit(apiKey + threeAddons)
	a.expect(a.run(), job.Created)
	if got := a.services(); !slices.Equal(got, []string{"hello-db", "hello-files", "hello-redis"}) {
		t.Errorf("services %v", got)
	}
	have := a.secrets()
	for _, name := range append(bucketSecrets(), "API_KEY", "DB_URL", "REDIS_URL") {
		if have[name] == "" {
			t.Errorf("secret %s is not set; there are %v", name, have)
		}
	}
	a.rests(t)
}

// Fly tells a bucket's keys once. Other secrets and machines do not care.
func TestAddonThatTellsOnceLeavesOtherSecretsAlone(t *testing.T) {
	a := appBench(t)
	a.commit(apiKey + threeAddons + "machines: {count: 2}\n")
	a.expect(a.run(), job.Created)
	a.rests(t)
	before := a.secrets()
	a.deployer.Secrets.Env["API_KEY"] = "second-api-key"
	a.FlyRequests.Reset()
	a.expect(a.run(), job.Updated)
	if n, m := a.secretWrites(), a.machineWrites(); n != 1 || m != 2 {
		t.Errorf("another value set secrets %d times and updated machines %d times, want 1 and 2", n, m)
	}
	for name, digest := range a.secrets() {
		if (before[name] != digest) != (name == "API_KEY") {
			t.Errorf("secret %s has digest %s, and had %s", name, digest, before[name])
		}
	}
	a.rests(t)
	a.commit(apiKey + threeAddons + "machines: {count: 3}\n")
	a.FlyRequests.Reset()
	a.expect(a.run(), job.Updated)
	if n := a.secretWrites(); n != 0 {
		t.Errorf("another machine set secrets %d times", n)
	}
	a.rests(t)
}

// Without a key there are no MACs.
func TestAddonsWithoutDigestKeyAreLeftAlone(t *testing.T) {
	a := appBench(t)
	a.deployer.DigestKey = manifest.Secret{}
	a.commit(apiKey + threeAddons)
	a.expect(a.run(), job.Created)
	a.rests(t)
}

func TestServiceRunElsewhereIsAttached(t *testing.T) {
	a := appBench(t)
	a.deployer.Secrets.Env["CACHE"] = "redis://elsewhere:6379"
	a.commit("secrets: [{name: CACHE, type: env}]\naddons: [{type: redis, url_secret: CACHE}]\n")
	a.expect(a.run(), job.Created)
	have := a.secrets()
	if have["REDIS_URL"] == "" || len(a.services()) != 0 {
		t.Errorf("secrets %v, services %v", have, a.services())
	}
	a.rests(t)
	a.deployer.Secrets.Env["CACHE"] = "redis://moved:6379"
	a.expect(a.run(), job.Updated)
	if now := a.secrets(); now["REDIS_URL"] == have["REDIS_URL"] {
		t.Error("the new address was not attached")
	}
	a.rests(t)
}

// The keys of a bucket die with the deployer that made it. What helps is said.
func TestKilledBeforeBucketsKeysAreSetSaysWhatHelps(t *testing.T) {
	a := appBench(t)
	a.commit(apiKey + "addons: [{type: tigris, name: hello-files}]\n")
	req := jobOf("the one", "hello", a.tree, job.Result{})
	for calls := int64(1); len(a.services()) == 0; calls++ {
		doomed, life := a.mortal(calls)
		life.last(func(ctx context.Context) { _, _ = doomed.Deploy(ctx, req) })
		a.Sim.Advance(time.Minute)
	}
	if len(a.secrets()) != 0 {
		t.Fatal("secrets were set already")
	}
	res, err := a.deployer.Deploy(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	a.expect(res, job.Rejected)
	for _, want := range []string{"AWS_ACCESS_KEY_ID", "hello-files", "only once", "destroy"} {
		if !strings.Contains(res.Detail, want) {
			t.Errorf("%q is not in %q", want, res.Detail)
		}
	}
}

// Somebody who sets the keys by hand helps too.
func TestKeysThatWereSetByHandAreTaken(t *testing.T) {
	a := appBench(t)
	a.ask(`mutation($input: CreateAddOnInput!) { createAddOn(input: $input) { addOn { id } } }`,
		map[string]any{"input": map[string]any{"organizationId": a.orgID(), "name": "hello-files", "type": "tigris"}})
	a.commit("addons: [{type: tigris, name: hello-files}]\n")
	a.expect(a.run(), job.Rejected)
	set := map[string]any{}
	for _, name := range bucketSecrets() {
		set[name] = "by hand"
	}
	a.setByHand("hello", set)
	a.expect(a.run(), job.Created)
	a.rests(t)
}

func (b *bench) orgID() string {
	b.tb.Helper()
	text := b.ask(`query($slug: String!) { organization(slug: $slug) { id } }`, map[string]any{"slug": "personal"})
	var said struct {
		Data struct{ Organization struct{ ID string } }
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		b.tb.Fatal(err)
	}
	return said.Data.Organization.ID
}

// setByHand sets secrets as `fly secrets set` does.
func (b *bench) setByHand(app string, values map[string]any) {
	b.tb.Helper()
	body, err := json.Marshal(map[string]any{"values": values})
	if err != nil {
		b.tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.tb.Context(), http.MethodPost, b.FlyURL+"/v1/apps/"+app+"/secrets", bytes.NewReader(body))
	if err != nil {
		b.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b.tb.Fatalf("set secrets of %s: %s", app, resp.Status)
	}
}

func TestAddonGoesOnlyOnAPersonsWord(t *testing.T) {
	a := appBench(t)
	all := []string{"hello-db", "hello-files", "hello-redis"}
	a.commit(threeAddons)
	a.expect(a.run(), job.Created)

	a.commit("")
	a.expect(a.run(), job.Updated)
	a.expect(a.confirmed(), job.Unchanged) // the manifest does not allow it
	if got := a.services(); !slices.Equal(got, all) {
		t.Fatalf("without prune, services %v", got)
	}

	a.commit("sync: {prune: true}\n")
	res := a.run()
	notes := strings.Join(res.Warnings, "\n")
	for _, name := range all {
		if !strings.Contains(notes, name+" would be destroyed") {
			t.Errorf("%s is not in the notes %q of outcome %s", name, notes, res.Outcome)
		}
	}
	if got := a.services(); !slices.Equal(got, all) {
		t.Fatalf("without a person's word, services %v", got)
	}

	res = a.confirmed()
	a.expect(res, job.Updated)
	if got := a.services(); len(got) != 0 {
		t.Errorf("services %v stay behind %q", got, res.Changes)
	}
	a.rests(t)
}

func TestRotatedAddressIsSetAgain(t *testing.T) {
	a := appBench(t)
	a.commit("machines: {count: 2}\n" + threeAddons)
	a.expect(a.run(), job.Created)
	before := a.secrets()
	a.ask(`mutation($input: ResetAddOnPasswordInput!) { resetAddOnPassword(input: $input) { addOn { id } } }`,
		map[string]any{"input": map[string]any{"name": "hello-redis", "provider": "upstash_redis"}})
	a.FlyRequests.Reset()
	a.expect(a.run(), job.Updated)
	if n, m := a.secretWrites(), a.machineWrites(); n != 1 || m != 2 {
		t.Errorf("set secrets %d times and updated machines %d times, want 1 and 2", n, m)
	}
	for name, digest := range a.secrets() {
		if (before[name] != digest) != (name == "REDIS_URL") {
			t.Errorf("secret %s has digest %s, and had %s", name, digest, before[name])
		}
	}
	a.rests(t)
}

func TestBucketOfSomebodyElseIsRejected(t *testing.T) {
	a := appBench(t)
	a.commit("org: others\nsource: {type: image, image: " + a.Image("other:1") + "}\n")
	a.Repo("foreign") // somebody else's app holds the bucket
	other := a.Repo("others")
	other.Commit(map[string]string{"app.yaml": "app: other\norg: others\nsource: {type: image, image: " + a.Image("other:1") + "}\naddons: [{type: tigris, name: files}]\n"})
	a.expect(a.deploy("other", job.Config{Repo: other.URL}, nil), job.Created)

	a.commit("addons: [{type: tigris, name: files}]\n")
	res := a.run()
	a.expect(res, job.Rejected)
	if !strings.Contains(res.Detail, "files") || !strings.Contains(res.Detail, "somebody else") || !strings.Contains(res.Detail, "another name") {
		t.Errorf("detail %q", res.Detail)
	}
	if n := a.shape("hello"); strings.Contains(n, "machine") {
		t.Errorf("machines were made: %s", n)
	}
}

func TestSecretsPruneLeavesTheAddonsSecrets(t *testing.T) {
	a := appBench(t)
	a.commit(apiKey + threeAddons)
	a.expect(a.run(), job.Created)
	a.setByHand("hello", map[string]any{"STRAY": "x"})
	a.commit(apiKey + threeAddons + "secrets_prune: true\n")
	a.expect(a.run(), job.Updated)
	have := a.secrets()
	if have["STRAY"] != "" || len(have) != 8 {
		t.Errorf("secrets %v", have)
	}
	a.rests(t)
}

// A deployer that is killed anywhere makes no service twice, and the next attempt ends what it began. Only a
// bucket's keys, which Fly tells once, can be lost; then the next attempt says so.
func TestKilledAnywhereMakesNoServiceTwice(t *testing.T) {
	var all crowd
	defer all.wait()
	a := appBench(t)
	a.commit(apiKey + threeAddons)
	whole, life := a.mortal(never)
	if res, err := whole.Deploy(t.Context(), jobOf("the one", "hello", a.tree, job.Result{})); err != nil || !res.Outcome.Done() {
		t.Fatalf("%+v, %v", res, err)
	}
	for n := int64(1); n <= life.seen.Load(); n += 2 * int64(thin()) {
		all.run(t, fmt.Sprint("call ", n), func(t *testing.T) {
			t.Helper()
			a := appBench(t)
			a.commit(apiKey + threeAddons)
			req := jobOf("the one", "hello", a.tree, job.Result{})
			doomed, life := a.mortal(n)
			life.last(func(ctx context.Context) { _, _ = doomed.Deploy(ctx, req) })
			a.Sim.Advance(time.Minute)
			res, err := a.deployer.Deploy(t.Context(), req)
			switch {
			case err != nil:
				t.Fatal(err)
			case res.Outcome == job.Rejected && strings.Contains(res.Detail, "told only once"):
				if len(a.secrets()) > 0 {
					t.Errorf("%s; there are %v", res.Detail, a.secrets())
				}
				if got := a.services(); len(slices.Compact(got)) != len(got) {
					t.Errorf("services %v", got)
				}
			default:
				a.expect(res, job.Created)
				a.rests(t)
				if got := a.services(); !slices.Equal(got, []string{"hello-db", "hello-files", "hello-redis"}) {
					t.Errorf("services %v", got)
				}
			}
		})
	}
}
