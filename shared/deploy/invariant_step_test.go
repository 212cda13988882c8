package deploy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// A deploy that is told to stop while a machine is being made ends when the machine is there.
func TestStepThatWasBegunIsFinished(t *testing.T) {
	b := newBench(t, flysim.Options{})
	dir := t.TempDir()
	write(t, dir, map[string]string{"app.yaml": manifestOf(b.Image("hello:1"), "hi")})
	slow := flysim.Fault{Match: flysim.Match{Method: "POST", Path: "*/machines"}, Do: flysim.Effect{DelayMS: 700}}
	if err := b.Sim.SetFaults(slow); err != nil {
		t.Fatal(err)
	}
	why := errors.New("told to stop")
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		for b.machines() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		stop(why)
	}()
	_, err := b.deployer.Deploy(ctx, deploy.Request{Job: job.Job{ID: job.SaltedID(job.Deploy, "hello", "1"), Kind: job.Deploy, App: "hello", Config: job.Config{Repo: dir}}})
	stop(nil)
	if !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	n := 0
	for _, a := range b.Sim.State().Apps {
		n += len(a.Machines)
	}
	if n != 1 {
		t.Errorf("%d machines when the deploy came back, want the one that was begun", n)
	}
}
