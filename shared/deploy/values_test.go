package deploy_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// withSecrets is hello with two machines and two secrets from the environment.
func withSecrets(image, text string) string {
	return manifestOf(image, text) + `
machines: {count: 2}
secrets:
  - {name: API_KEY, type: env}
  - {name: DB_URL, type: env, env: HELLO_DB_URL}
`
}

func secretBench(t *testing.T) (*bench, job.Config, func(text string)) {
	t.Helper()
	b := newBench(t, flysim.Options{})
	b.deployer.DigestKey = manifest.NewSecret("the key of the test")
	b.deployer.Secrets.Env = map[string]string{"API_KEY": "first-api-key", "HELLO_DB_URL": "postgres://first"}
	img := b.Image("hello:1")
	repo := b.Repo("config")
	commit := func(text string) { repo.Commit(map[string]string{"hello/app.yaml": withSecrets(img, text)}) }
	commit("hi")
	return b, job.Config{Repo: repo.URL}, commit
}

// secretWrites are the calls that set secrets; machineWrites those that create or update machines.
func (b *bench) secretWrites() int {
	return len(b.FlyRequests.Matching(func(method, uri string) bool { return method != "GET" && strings.Contains(uri, "/secrets") }))
}

func (b *bench) machineWrites() int {
	return len(b.FlyRequests.Matching(func(method, uri string) bool {
		at := strings.Index(uri, "/machines")
		return method == "POST" && at > 0 && strings.Count(uri[at:], "/") <= 2
	}))
}

func TestUnchangedSecretCostsNothing(t *testing.T) {
	b, tree, commit := secretBench(t)
	b.expect(b.deploy("hello", tree, nil), job.Created)
	if n := b.secretWrites(); n != 1 {
		t.Errorf("the first deploy set secrets in %d calls, want 1", n)
	}
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Unchanged)
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("unchanged wrote to Fly: %v", w)
	}
	commit("hello again")
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Updated)
	if n, m := b.secretWrites(), b.machineWrites(); n != 0 || m != 2 {
		t.Errorf("another text set secrets %d times and updated machines %d times, want 0 and 2", n, m)
	}
}

func TestChangedSecretRestartsEachMachineOnce(t *testing.T) {
	b, tree, commit := secretBench(t)
	b.expect(b.deploy("hello", tree, nil), job.Created)
	b.deployer.Secrets.Env["API_KEY"] = "second-api-key"
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Updated)
	if n, m := b.secretWrites(), b.machineWrites(); n != 1 || m != 2 {
		t.Errorf("another value set secrets %d times and updated machines %d times, want 1 and 2", n, m)
	}
	b.deployer.Secrets.Env["API_KEY"] = "third-api-key"
	commit("and another text")
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Updated)
	if n, m := b.secretWrites(), b.machineWrites(); n != 1 || m != 2 {
		t.Errorf("value and text set secrets %d times and updated machines %d times, want 1 and 2", n, m)
	}
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Unchanged)
}

func TestSecretThatIsNotThereIsNamed(t *testing.T) {
	b, tree, _ := secretBench(t)
	delete(b.deployer.Secrets.Env, "HELLO_DB_URL")
	res := b.deploy("hello", tree, nil)
	b.expect(res, job.Rejected)
	for _, want := range []string{"DB_URL", "HELLO_DB_URL", "hello/app.yaml"} {
		if !strings.Contains(res.Detail, want) {
			t.Errorf("%q is not in %q", want, res.Detail)
		}
	}
	if n := b.machineWrites(); n != 0 {
		t.Errorf("%d machines were written", n)
	}
}

func TestSecretChangedByHandIsSetAgain(t *testing.T) {
	b, tree, _ := secretBench(t)
	b.expect(b.deploy("hello", tree, nil), job.Created)
	ch, err := b.deployer.Fly.Begin(t.Context(), "hello", plan.Scope{Secrets: true})
	if err != nil {
		t.Fatal(err)
	}
	ch.Provide(map[string]manifest.Secret{"API_KEY": manifest.NewSecret("by hand")})
	if err := ch.Apply(t.Context(), plan.SetSecrets{App: "hello", Set: []string{"API_KEY"}}); err != nil {
		t.Fatal(err)
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	b.FlyRequests.Reset()
	b.expect(b.deploy("hello", tree, nil), job.Updated)
	if n := b.secretWrites(); n != 1 {
		t.Errorf("secrets were set in %d calls, want 1", n)
	}
}

func TestPlanNeedsNoKeys(t *testing.T) {
	b, tree, _ := secretBench(t)
	b.deployer.Secrets.Env = nil
	p, err := b.deployer.Plan(t.Context(), deploy.Request{Job: job.Job{ID: job.SaltedID(job.Plan, "hello", "x"), Kind: job.Plan, App: "hello", Config: tree}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Result.Warnings) == 0 || !strings.Contains(strings.Join(p.Result.Warnings, "\n"), "secrets are left out") {
		t.Errorf("warnings %q", p.Result.Warnings)
	}
}
