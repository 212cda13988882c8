package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
)

// dying lets so many requests through and is dead from then on, like a process that was killed: the
// last one takes effect, and nobody hears its answer.
type dying struct {
	left, seen, underway atomic.Int64
	// end ends whatever the deployer waits for.
	end context.CancelFunc
}

var errKilled = errors.New("killed")

func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	d.seen.Add(1)
	left := d.left.Add(-1)
	if left <= 0 {
		defer d.end()
	}
	if left < 0 {
		return nil, errKilled
	}
	d.underway.Add(1)
	defer d.underway.Add(-1)
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	if left == 0 && err == nil {
		_ = resp.Body.Close()
		return nil, errKilled
	}
	return resp, err
}

// last lets the deployer work until it dies, or is done. What a dead one still waits for is nobody's
// business: it cannot reach anything any more.
func (d *dying) last(work func(ctx context.Context)) {
	ctx, end := context.WithCancel(context.Background())
	died := make(chan struct{})
	d.end = sync.OnceFunc(func() { end(); close(died) })
	go func() { work(ctx); d.end() }()
	<-died
	for d.underway.Load() > 0 { // what was sent arrives
		time.Sleep(time.Millisecond)
	}
}

// mortal gives a deployer that dies after so many requests to Fly.
func (b *bench) mortal(calls int64) (*deploy.Deployer, *dying) {
	b.tb.Helper()
	life := &dying{end: func() {}}
	life.left.Store(calls)
	return b.through(life, patient), life
}

// through gives a deployer that speaks to Fly through the transport, with leases of the time to live.
func (b *bench) through(transport http.RoundTripper, ttl time.Duration) *deploy.Deployer {
	b.tb.Helper()
	o := deploytest.FlyOptions(b.FlyURL)
	o.Transport, o.LeaseTTL, o.Lag = transport, ttl, 50*time.Millisecond
	client, err := fly.New(b.tb.Context(), o)
	if err != nil {
		b.tb.Fatal(err)
	}
	d := *b.deployer
	d.Fly = client
	return &d
}

// never is more requests than any deploy makes.
const never = 1 << 30

// TestKilledAfterAnyCallGoesOn kills the deployer after its first call to Fly, then after its second, and
// so on, and lets another attempt at the same job go on: it reaches what an undisturbed deploy
// reaches, has nothing twice, and runs the release command once.
func TestKilledAfterAnyCallGoesOn(t *testing.T) {
	for _, phase := range []string{"first deploy", "update"} {
		t.Run(phase, func(t *testing.T) {
			var all crowd
			defer all.wait()
			prepare := func(t *testing.T) (*bench, deploy.Request) {
				t.Helper()
				b, tree, commit := wholeBench(t)
				if phase == "update" {
					b.expect(b.deploy("shop", tree, nil), job.Created)
					b.deployer.Secrets.Env["API_KEY"] = "second-api-key"
					commit("again")
				}
				return b, jobOf("the one", "shop", tree, b.last["shop"])
			}
			b, req := prepare(t)
			runs := b.released()
			whole, life := b.mortal(never)
			if res, err := whole.Deploy(t.Context(), req); err != nil || !res.Outcome.Done() {
				t.Fatalf("%+v, %v", res, err)
			}
			want, calls := b.shape("shop"), life.seen.Load()
			runs = b.released() - runs
			for n := int64(1); n <= calls; n += int64(thin()) {
				all.run(t, fmt.Sprint("call ", n), func(t *testing.T) {
					t.Helper()
					b, req := prepare(t)
					before := b.released()
					doomed, life := b.mortal(n)
					life.last(func(ctx context.Context) { _, _ = doomed.Deploy(ctx, req) })
					b.Sim.Advance(time.Minute) // the dead one's leases run out
					res, err := b.deployer.Deploy(t.Context(), req)
					if err != nil || !res.Outcome.Done() {
						t.Fatalf("killed after call %d of %d, the next attempt gave %+v, %v", n, calls, res, err)
					}
					if got := b.shape("shop"); got != want {
						t.Errorf("killed after call %d of %d\n%s\nwant\n%s", n, calls, got, want)
					}
					if got := b.released() - before; got != runs {
						t.Errorf("killed after call %d: the release command ran %d times, want %d", n, got, runs)
					}
				})
			}
		})
	}
}

// crowd runs subtests side by side that mostly wait: more of them than there are processors.
type crowd struct {
	places chan struct{}
	all    sync.WaitGroup
}

const crowded = 16

func (c *crowd) run(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	if c.places == nil {
		c.places = make(chan struct{}, crowded)
	}
	c.places <- struct{}{}
	c.all.Go(func() {
		t.Run(name, test)
		<-c.places
	})
}

func (c *crowd) wait() { c.all.Wait() }

// thin is which of many like subtests are run: each, or one of so many.
func thin() int {
	if testing.Short() || raced {
		return 23
	}
	return 1
}

// thinned is thin where there are only some.
func thinned() int64 { return int64(min(thin(), 4)) }

// jobOf is a job that may be tried more than once, under a name.
func jobOf(name, app string, tree job.Config, last job.Result) deploy.Request {
	return deploy.Request{
		Job:  job.Job{ID: job.SaltedID(job.Deploy, app, name), Kind: job.Deploy, App: app, Config: tree, Created: time.Now()},
		Last: last,
	}
}
