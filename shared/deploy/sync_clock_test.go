package deploy_test

import (
	"slices"
	"testing"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
)

// The forge stamps pushes in whole seconds, and its clock may be behind.
func TestPushAfterASyncIsReadWhateverItsStamp(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		first := config.Commit(map[string]string{"a/app.yaml": app("a0")})
		asked := deploy.Request{Job: job.Job{
			ID: job.SaltedID(job.Sync, config.URL, "x"), Kind: job.Sync, Config: job.Config{Repo: config.URL},
			Order: job.Order{Time: d.clock + 700}, Reason: job.ByPing,
		}}
		d.sync(asked)
		d.taken()
		push := d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a0") + "env: {A: b}\n", "b/app.yaml": app("b0")}))
		res := d.sync(push)
		if got := d.taken(); res.Outcome != job.Updated || !slices.Equal(got, []string{"a0", "b0"}) {
			d.t.Errorf("the push is %s (%s), deployed %v", res.Outcome, res.Detail, got)
		}
		// what is older in truth stays so
		late := d.wish(config, first)
		late.Job.Order.Time = push.Job.Order.Time - 1
		if res := d.sync(late); res.Outcome != job.Superseded || len(d.taken()) > 0 {
			d.t.Errorf("the late push is %s", res.Outcome)
		}
	})
}
