package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// rollout is hello with three machines, deployed well.
type rollout struct {
	helloApp
	good, bad string
	// under gives hello another text under a strategy.
	under func(strategy, image, text, more string)
	// give does so under the one that it was made with.
	give func(image, text, more string)
}

func rolloutOf(t *testing.T, strategy string) rollout {
	t.Helper()
	a := helloApp{bench: newBench(t, flysim.Options{})}
	repo := a.Repo("config")
	a.tree = job.Config{Repo: repo.URL}
	r := rollout{helloApp: a, good: a.Image("hello:1"), bad: a.Image("bad:1")}
	r.under = func(strategy, image, text, more string) {
		repo.Commit(map[string]string{"hello/app.yaml": manifestOf(image, text) +
			"machines: {count: 3}\ndeploy: {strategy: " + strategy + ", wait_timeout: 400ms}\n" + more})
	}
	r.give = func(image, text, more string) { r.under(strategy, image, text, more) }
	r.give(r.good, "good", "")
	r.expect(r.run(), job.Created)
	return r
}

// alive are the machines of hello that are there.
func (b *bench) alive() []flysim.MachineState {
	var out []flysim.MachineState
	for _, a := range b.Sim.State().Apps {
		for _, m := range a.Machines {
			if a.Name == "hello" && m.State != "destroyed" && m.State != "destroying" && !strings.HasPrefix(m.Metadata["fly_process_group"], "fly_app_") {
				out = append(out, m)
			}
		}
	}
	return out
}

// versions says which version of which machine is where, and whether the proxy sees it.
func (b *bench) versions() string {
	var lines []string
	for _, m := range b.alive() {
		lines = append(lines, fmt.Sprint(m.ID, " ", m.InstanceID, " ", m.State, " hidden=", m.Cordoned, " starts=", m.Launches))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// said are the greetings of the machines.
func said(b *bench, machines []flysim.MachineState) []string {
	var out []string
	for _, m := range machines {
		var config struct{ Env map[string]string }
		if err := json.Unmarshal(m.Config, &config); err != nil {
			b.tb.Fatal(err)
		}
		out = append(out, config.Env["GREETING"])
	}
	slices.Sort(out)
	return out
}

// serve demands three machines that say so, in the proxy's sight.
func (r rollout) serve(t *testing.T, text string) {
	t.Helper()
	machines := r.alive()
	if got := said(r.bench, machines); !slices.Equal(got, []string{text, text, text}) {
		t.Errorf("machines say %v, want three times %s", got, text)
	}
	for _, m := range machines {
		if m.Cordoned || m.State != "started" || m.Metadata["fly_canary"] != "" {
			t.Errorf("machine %s is %s, hidden %v, %v", m.Name, m.State, m.Cordoned, m.Metadata)
		}
	}
}

// fates are ways for a release not to work.
func fates() map[string]flysim.Behavior {
	one := 1
	return map[string]flysim.Behavior{"exits": {Exit: &one}, "fails its checks": {Checks: "critical"}, "never boots": {Stuck: true}}
}

// A release that fails beside the old one leaves no trace, whatever becomes of failed deploys.
func TestReleaseThatFailsBesideTheOldOneTouchesNothing(t *testing.T) {
	for _, strategy := range []string{"canary", "bluegreen"} {
		for name, fate := range fates() {
			for _, policy := range []string{"rollback", "stop", "none"} {
				t.Run(strategy+" "+name+" "+policy, func(t *testing.T) {
					t.Parallel()
					r := rolloutOf(t, strategy)
					before := r.versions()
					r.spoil(r.bad, fate)
					r.give(r.bad, "bad", "on_failure: "+policy+"\n")
					res := r.run()
					r.expect(res, job.Failed)
					if after := r.versions(); after != before {
						t.Errorf("before\n%s\nafter\n%s\n%s", before, after, res.Detail)
					}
					r.serve(t, "good")
					r.give(r.good, "better", "")
					r.expect(r.run(), job.Updated)
					r.serve(t, "better")
				})
			}
		}
	}
}

func TestGoodReleaseTakesAllMachines(t *testing.T) {
	for _, strategy := range []string{"canary", "bluegreen", "immediate", "rolling"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			r := rolloutOf(t, strategy)
			before := r.alive()
			r.give(r.good, "better", "")
			res := r.run()
			r.expect(res, job.Updated)
			r.serve(t, "better")
			canaries, kept := strings.Count(strings.Join(res.Changes, "\n"), "canary"), 0
			for _, m := range r.alive() {
				if slices.ContainsFunc(before, func(b flysim.MachineState) bool { return b.ID == m.ID }) {
					kept++
				}
			}
			if (canaries > 0) != (strategy == "canary") || (kept == 0) != (strategy == "bluegreen") {
				t.Errorf("%d machines were kept, changes %q", kept, res.Changes)
			}
			r.rests(t)
		})
	}
}

// Blue machines go on serving until all greens were seen to work.
func TestBluesServeUntilTheGreensWork(t *testing.T) {
	r := rolloutOf(t, "bluegreen")
	r.give(r.good, "better", "")
	r.FlyRequests.Reset()
	r.expect(r.run(), job.Updated)
	var order []string
	for _, q := range r.FlyRequests.Writes() {
		for _, verb := range []string{"/uncordon", "/cordon"} {
			if strings.HasSuffix(q, verb) {
				order = append(order, verb)
				break
			}
		}
		if strings.HasPrefix(q, "DELETE") && strings.Contains(q, "/machines/") && !strings.Contains(q, "/lease") {
			order = append(order, "destroy")
		}
	}
	want := []string{"/uncordon", "/uncordon", "/uncordon", "/cordon", "/cordon", "/cordon", "destroy", "destroy", "destroy"}
	if !slices.Equal(order, want) {
		t.Errorf("the order was %v", order)
	}
}

// A deployer that is killed anywhere in a deploy is followed by one that ends it: three machines that
// serve, and none besides.
func TestKilledAnywhereInAStrategyGoesOn(t *testing.T) {
	var all crowd
	defer all.wait()
	for _, strategy := range []string{"canary", "bluegreen", "immediate"} {
		r := rolloutOf(t, strategy)
		r.give(r.good, "better", "")
		whole, life := r.mortal(never)
		if res, err := whole.Deploy(t.Context(), jobOf("the one", "hello", r.tree, r.last["hello"])); err != nil || !res.Outcome.Done() {
			t.Fatalf("%s: %+v, %v", strategy, res, err)
		}
		for n := int64(1); n <= life.seen.Load(); n += int64(thin()) {
			all.run(t, fmt.Sprint(strategy, " call ", n), func(t *testing.T) {
				t.Helper()
				r := rolloutOf(t, strategy)
				r.give(r.good, "better", "")
				req := jobOf("the one", "hello", r.tree, r.last["hello"])
				doomed, life := r.mortal(n)
				life.last(func(ctx context.Context) { _, _ = doomed.Deploy(ctx, req) })
				r.Sim.Advance(time.Minute)
				res, err := r.deployer.Deploy(t.Context(), req)
				if err != nil || !res.Outcome.Done() {
					t.Fatalf("%+v, %v", res, err)
				}
				r.serve(t, "better")
				r.rests(t)
			})
		}
	}
}

// Whoever changes their mind after a deployer was killed gets what is wanted now, under any strategy.
func TestKilledThenAnotherWish(t *testing.T) {
	var all crowd
	defer all.wait()
	for _, next := range []string{"rolling", "bluegreen"} {
		for n := int64(5); n <= 60; n += 5 * thinned() {
			all.run(t, fmt.Sprint(next, " after call ", n), func(t *testing.T) {
				t.Helper()
				r := rolloutOf(t, "bluegreen")
				r.give(r.good, "better", "")
				doomed, life := r.mortal(n)
				life.last(func(ctx context.Context) {
					_, _ = doomed.Deploy(ctx, jobOf("the one", "hello", r.tree, r.last["hello"]))
				})
				r.Sim.Advance(time.Minute)
				r.under(next, r.good, "best", "")
				if res := r.run(); !res.Outcome.Done() {
					t.Fatalf("%+v", res)
				}
				r.serve(t, "best")
				r.rests(t)
			})
		}
	}
}

// What fails when the blues are hidden brings them back.
func TestFailureAtTheCutShowsTheBluesAgain(t *testing.T) {
	for _, fault := range []struct{ name, path, method string }{
		{"hiding", "/v1/apps/hello/machines/*/cordon", "POST"},
		{"showing", "/v1/apps/hello/machines/*/uncordon", "POST"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			r := rolloutOf(t, "bluegreen")
			r.give(r.good, "better", "on_failure: rollback\n")
			effect := flysim.Effect{Status: 422, Repeat: 1}
			if err := r.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Method: fault.method, Path: fault.path, Nth: 2}, Do: effect}); err != nil {
				t.Fatal(err)
			}
			res := r.deploy("hello", r.tree, func(q *deploy.Request) { q.Final = true })
			if res.Outcome.Done() {
				t.Fatalf("%+v", res)
			}
			r.serve(t, "good")
			r.expect(r.run(), job.Updated)
			r.serve(t, "better")
			r.rests(t)
		})
	}
}

// What a dead deployer made beside the machines that serve does not stay behind the next attempt that fails
// either.
func TestKilledThenFailedLeavesNothingBehind(t *testing.T) {
	var all crowd
	defer all.wait()
	for _, strategy := range []string{"canary", "bluegreen"} {
		for _, policy := range []string{"rollback", "none"} {
			for n := int64(16); n <= 44; n += 4 * thinned() {
				all.run(t, fmt.Sprint(strategy, " ", policy, " after call ", n), func(t *testing.T) {
					t.Helper()
					r := rolloutOf(t, strategy)
					before := r.versions()
					r.spoil(r.bad, flysim.Behavior{Checks: "critical"})
					r.give(r.bad, "bad", "on_failure: "+policy+"\n")
					req := jobOf("the one", "hello", r.tree, r.last["hello"])
					doomed, life := r.mortal(n)
					life.last(func(ctx context.Context) { _, _ = doomed.Deploy(ctx, req) })
					r.Sim.Advance(time.Minute)
					res, err := r.deployer.Deploy(t.Context(), req)
					if err != nil {
						t.Fatal(err)
					}
					r.expect(res, job.Failed)
					if after := r.versions(); after != before {
						t.Errorf("before\n%s\nafter\n%s\n%s", before, after, res.Detail)
					}
				})
			}
		}
	}
}

// Blues that are gone already come back where the release is found out late, from outside.
func TestReleaseThatFailsFromOutsideIsPutBack(t *testing.T) {
	for _, strategy := range []string{"canary", "bluegreen", "immediate", "rolling"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			r := rolloutOf(t, strategy)
			r.give(r.good, "bad", "on_failure: rollback\nverify: [{url: 'http://127.0.0.1:1/', within: 200ms}]\n")
			res := r.run()
			r.expect(res, job.Failed)
			if !strings.Contains(res.Detail, "put back") || !strings.Contains(res.Detail, "proven") {
				t.Errorf("detail %q", res.Detail)
			}
			r.serve(t, "good")
			r.give(r.good, "better", "")
			r.expect(r.run(), job.Updated)
			r.serve(t, "better")
			r.rests(t)
		})
	}
}

// A check that fails beside a canary, or beside a green machine, is a release that failed beside the old one.
func TestMachineCheckThatFailsBesideTheOldOneTouchesNothing(t *testing.T) {
	one := 1
	for _, strategy := range []string{"canary", "bluegreen"} {
		for _, policy := range []string{"rollback", "none"} {
			t.Run(strategy+" "+policy, func(t *testing.T) {
				t.Parallel()
				r := rolloutOf(t, strategy)
				before, failing := r.versions(), r.Image("failing:1")
				r.spoil(failing, flysim.Behavior{Exit: &one})
				r.give(r.good, "bad", "on_failure: "+policy+"\nmachine_checks: [{image: "+failing+", command: [look]}]\n")
				res := r.run()
				r.expect(res, job.Failed)
				if after := r.versions(); after != before || !strings.Contains(res.Detail, "machine check") {
					t.Errorf("before\n%s\nafter\n%s\n%s", before, after, res.Detail)
				}
			})
		}
	}
}
