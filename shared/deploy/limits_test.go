package deploy_test

import (
	"testing"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// TestManyMachinesAreMadeWithinTheLimits makes more machines at once than Fly lets an app make in a second.
func TestManyMachinesAreMadeWithinTheLimits(t *testing.T) {
	b := newBench(t, flysim.Options{RateLimits: true})
	client, err := fly.New(t.Context(), fly.Options{Token: deploytest.Token, BaseURL: b.FlyURL, Smoke: -1})
	if err != nil {
		t.Fatal(err)
	}
	b.deployer.Fly = client
	repo := b.Repo("config")
	repo.Commit(map[string]string{"hello/app.yaml": manifestOf(b.Image("hello:1"), "hi") + "machines: {count: 8}\ndeploy: {strategy: immediate}\n"})
	b.expect(b.deploy("hello", job.Config{Repo: repo.URL}, nil), job.Created)
	if got := len(b.Sim.State().Apps[0].Machines); got != 8 {
		t.Errorf("%d machines, want 8", got)
	}
}
