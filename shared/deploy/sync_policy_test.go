package deploy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// taken gives the apps of the jobs that are handed out, in their order, each done before the next.
func (d *desk) taken() []string {
	d.t.Helper()
	var out []string
	for {
		l, ok, err := d.queue.Take(d.t.Context(), 10)
		if err != nil {
			d.t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, l.Job.App)
		c, err := d.queue.Claim(d.t.Context(), l.Job.ID, l.Attempt, "m")
		if err != nil {
			d.t.Fatal(err)
		}
		if err := d.queue.Finish(d.t.Context(), c, job.Result{Outcome: job.Created, ConfigDigest: c.Wish.Config.Digest}); err != nil {
			d.t.Fatal(err)
		}
	}
}

func TestCatalogHasThePolicy(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a") + `
depends_on: [z, db]
secrets:
  - {name: B, type: env}
  - {name: A, type: env, env: FROM_HERE}
  - {name: C, type: raw, raw: x}
certs: [{hostname: a.example.com}]
sync: {self_heal: true, retry: {limit: 5, backoff: 90s}}
`, "b/app.yaml": app("b") + "sync: {self_heal: false}\n"})))
		entries, err := d.queue.Entries(d.t.Context(), job.Config{Repo: config.URL}.ID())
		if err != nil || len(entries) != 2 {
			d.t.Fatalf("%d entries (%v)", len(entries), err)
		}
		a, b := entries[0], entries[1]
		if !slices.Equal(a.DependsOn, []string{"db", "z"}) || !slices.Equal(a.EnvSecrets, []string{"B", "FROM_HERE"}) {
			d.t.Errorf("depends on %v, with secrets from %v", a.DependsOn, a.EnvSecrets)
		}
		if a.Retry != (catalog.Retry{Limit: 5, BackoffMS: 90_000}) || !a.SelfHeal || a.Looks != (catalog.Looks{Secrets: true, Certs: true}) {
			d.t.Errorf("entry is %+v", a)
		}
		if b.SelfHeal || !reflect.ValueOf(b.Retry).IsZero() || !reflect.ValueOf(b.Looks).IsZero() || b.DependsOn != nil || b.EnvSecrets != nil {
			d.t.Errorf("entry is %+v", b)
		}
	})
}

func TestTreeIsDeployedInTheOrderOfItsDependencies(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		res := d.sync(d.wish(config, config.Commit(map[string]string{
			"a/app.yaml": app("a0") + "depends_on: [m0, z0]\n", "m/app.yaml": app("m0") + "depends_on: [z0]\n", "z/app.yaml": app("z0"),
			"c/app.yaml": app("c0") + "depends_on: [elsewhere]\n",
		})))
		if got := strings.Join(d.taken(), " "); got != "z0 m0 a0 c0" {
			d.t.Errorf("deployed %s", got)
		}
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "elsewhere is not in this tree") {
			d.t.Errorf("warnings: %v", res.Warnings)
		}
	})
}

func TestCircleIsRefusedWithItsWay(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		prune := "sync: {prune: true}\n"
		d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0") + prune, "b/app.yaml": app("b0"), "c/app.yaml": app("c0")})))
		d.taken()
		res := d.sync(d.wish(config, config.Commit(map[string]string{
			"a/app.yaml": app("a0") + prune + "depends_on: [b0]\n", "b/app.yaml": app("b0") + "depends_on: [a0]\n",
			"c/app.yaml": app("c0") + "depends_on: [b0]\n", "d/app.yaml": app("d0"),
		})))
		for _, want := range []string{"a0 → b0 → a0", "b0 → a0 → b0", "a/app.yaml", "app c0 is not deployed: b0, which it depends on, is refused"} {
			if !strings.Contains(res.Detail, want) {
				d.t.Errorf("%q is not in %s", want, res.Detail)
			}
		}
		if got := d.taken(); res.Outcome != job.Rejected || !slices.Equal(got, []string{"d0"}) {
			d.t.Errorf("%s, deployed %v, want d0 alone", res.Outcome, got)
		}
		if got := d.catalog(config); !slices.Equal(got, []string{"a0", "b0", "c0", "d0"}) {
			d.t.Errorf("the catalog has %v", got)
		}
		// opened again, everything that was held back follows
		res = d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0") + prune})))
		if got := strings.Join(d.taken(), " "); res.Outcome != job.Updated || got != "b0 c0" {
			d.t.Errorf("%s, deployed %s, want b0 c0: %s", res.Outcome, got, res.Detail)
		}
	})
}

func TestPolicyThatCannotBeFollowedIsRefused(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		for want, sync := range map[string]string{
			"sync.windows[0].schedule": `windows: [{kind: deny, schedule: "noon", duration: 1h}]`,
			"sync.windows[1].timezone": `windows: [{kind: deny, schedule: "0 0 * * *", duration: 1h}, {kind: deny, schedule: "0 0 * * *", duration: 1h, timezone: Nowhere}]`,
			"sync.retry.limit":         `retry: {limit: 0}`,
		} {
			res := d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0") + "sync: {" + sync + "}\n", "b/app.yaml": app("b0")})))
			if res.Outcome != job.Rejected || !strings.Contains(res.Detail, want) || !strings.Contains(res.Detail, "a/app.yaml") {
				d.t.Errorf("%s: %s: %s", want, res.Outcome, res.Detail)
			}
		}
	})
}

// The head moves between two attempts of one sync: what the second one reads is deployed too.
func TestSyncThatReadsAnotherHeadPushesOtherJobs(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		config.Commit(map[string]string{"a/app.yaml": app("a0")})
		req := deploy.Request{Job: job.Job{
			ID: job.SaltedID(job.Sync, config.URL, "x"), Kind: job.Sync, Config: job.Config{Repo: config.URL},
			Order: job.Order{Time: d.clock}, Reason: job.ByDispatch,
		}}
		first := d.sync(req)
		config.Commit(map[string]string{"a/app.yaml": app("a0") + "env: {A: b}\n"})
		req.Job.Order.Time++ // as the queue would give a later claim of it
		second, again := d.sync(req), d.sync(req)
		if len(first.Jobs) != 1 || len(second.Jobs) != 1 || first.Jobs[0] == second.Jobs[0] {
			d.t.Fatalf("pushed %v, then %v", first.Jobs, second.Jobs)
		}
		if len(again.Jobs) > 0 {
			d.t.Errorf("pushed %v once more", again.Jobs)
		}
		r, err := d.queue.Job(d.t.Context(), second.Jobs[0])
		if err != nil || r.State != queue.Waiting || !r.Job.ByHand() {
			d.t.Errorf("the second one is %s, by %q (%v): a person's sync is asked for by the person", r.State, r.Job.Reason, err)
		}
	})
}
