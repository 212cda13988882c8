package fly

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

func TestUpdateCarriesNonceAndVersion(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	m := ch.Observed().Machines[0]
	// somebody changes the machine although it is leased, as only Fly itself can
	stale := m
	copied := *m.Machine
	copied.InstanceID = "01AAAAAAAAAAAAAAAAAAAAAAAA"
	stale.Machine = &copied
	ch.note(stale)
	err := ch.Apply(t.Context(), update(m, imageTwo))
	// the version that is there is not the one that was to be updated: it counts as ours only if
	// our lease made it, and here nothing was written
	if got := w.machines(t)[0].Config.Image; got != imageOne {
		t.Fatalf("a stale version was updated to %s (%v)", got, err)
	}
	if nonce, _ := ch.leases.nonce(m.ID); nonce == "" {
		t.Error("no nonce")
	}
}

func TestLeasedAppIsRefusedToOthers(t *testing.T) {
	w := deployed(t, flysim.Options{})
	begin(t, w.client(t))
	quick := w.client(t, func(o *Options) { o.LeaseWait = 100 * time.Millisecond })
	_, err := quick.Begin(t.Context(), testApp, plan.Scope{})
	if !errors.Is(err, ErrLeased) || errors.Is(err, job.ErrRejected) {
		t.Fatalf("second change: %v, want ErrLeased", err)
	}
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("without a lease was written: %v", got)
	}
}

func TestWhoWaitsReadsAgain(t *testing.T) {
	w := deployed(t, flysim.Options{})
	first := begin(t, w.client(t))
	refused := make(chan struct{}, 100)
	w.road.held = func() { refused <- struct{}{} }
	began := make(chan *Change)
	go func() {
		second, err := w.client(t).Begin(t.Context(), testApp, plan.Scope{})
		if err != nil {
			t.Error(err)
		}
		began <- second
	}()
	<-refused // the second has seen image one, and waits
	apply(t, first, update(first.Observed().Machines[0], imageTwo))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := <-began
	if second == nil {
		return
	}
	defer func() { _ = second.Close() }()
	if got := second.Observed().Machines[0].Config.Image; got != imageTwo {
		t.Errorf("the second observed %s, which was before its lease", got)
	}
}

func TestManyChangesGoOneAfterAnother(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	ch := begin(t, w.client(t))
	apply(t, ch, firstSteps()...)
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ch, err := w.client(t, func(o *Options) { o.LeaseWait = time.Minute }).Begin(t.Context(), testApp, plan.Scope{})
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(5 * time.Millisecond)
			inside.Add(-1)
			if err := ch.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d changes at once", most.Load())
	}
}

func TestLostLeaseStopsWrites(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t, func(o *Options) { o.LeaseTTL = 6 * time.Second }))
	w.road.breaks(&fault{method: http.MethodPost, path: `/lease$`, status: 409, body: `{"error":"aborted: machine ID x lease currently held by y"}`})
	ctx := within(t, 10*time.Second)
	for !ch.TrustedUntil().IsZero() {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatal("the loss was not noticed")
		}
	}
	err := ch.Apply(t.Context(), update(ch.Observed().Machines[0], imageTwo))
	if !errors.Is(err, ErrUntrusted) {
		t.Errorf("update: %v, want ErrUntrusted", err)
	}
	err = ch.Apply(t.Context(), create("shop-app-ams-9", imageOne))
	if !errors.Is(err, ErrUntrusted) {
		t.Errorf("create: %v, want ErrUntrusted", err)
	}
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("written without a lease: %v", got)
	}
	if err := ch.Prove(t.Context(), proof("shop-app-ams-0", imageOne)); !errors.Is(err, ErrUntrusted) {
		t.Errorf("proof: %v, want ErrUntrusted", err)
	}
}

func TestNoWriteStartsThatTrustCannotOutlast(t *testing.T) {
	w := deployed(t, flysim.Options{})
	var ahead atomic.Int64
	ch := begin(t, w.client(t, func(o *Options) {
		o.LeaseTTL = time.Minute // so that no refresh comes between
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	step := update(ch.Observed().Machines[0], imageTwo)
	ahead.Store(int64(25 * time.Second)) // 60 − 6 − 25 < 30
	if err := ch.Apply(t.Context(), step); !errors.Is(err, ErrUntrusted) {
		t.Errorf("update: %v, want ErrUntrusted", err)
	}
	ahead.Store(0)
	if err := ch.Apply(within(t, 20*time.Second), step); !errors.Is(err, ErrUntrusted) {
		t.Errorf("update with a context that ends before: %v, want ErrUntrusted", err)
	}
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("written: %v", got)
	}
	apply(t, ch, step)
}

func TestRefreshKeepsTrust(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t, func(o *Options) { o.LeaseTTL = 3 * time.Second }))
	first := ch.TrustedUntil()
	ctx := within(t, 10*time.Second)
	for !ch.TrustedUntil().After(first.Add(time.Second)) {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatal("trust is not renewed")
		}
	}
}

// severed is a transport that dies with its process.
type severed struct{ dead atomic.Bool }

func (s *severed) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.dead.Load() {
		return nil, errors.New("killed")
	}
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

func TestDeadDeployerIsOutlived(t *testing.T) {
	w := deployed(t, flysim.Options{})
	life := &severed{}
	dead := begin(t, w.client(t, func(o *Options) { o.Transport, o.LeaseTTL = life, 30*time.Second }))
	apply(t, dead, create("shop-app-ams-1", imageTwo)) // in the middle: one machine is new, the other is not
	life.dead.Store(true)

	next := w.client(t, func(o *Options) { o.LeaseWait = 20 * time.Second })
	began := make(chan *Change)
	go func() {
		ch, err := next.Begin(t.Context(), testApp, plan.Scope{})
		if err != nil {
			t.Error(err)
		}
		began <- ch
	}()
	select {
	case <-began:
		t.Fatal("the dead deployer's lease was not respected")
	case <-time.After(150 * time.Millisecond):
	}
	w.sim.Advance(29 * time.Second)
	select {
	case <-began:
		t.Fatal("the lease ended too early")
	case <-time.After(100 * time.Millisecond):
	}
	w.sim.Advance(3 * time.Second)
	ch := <-began
	if ch == nil {
		return
	}
	defer func() { _ = ch.Close() }()
	apply(t, ch, update(ch.Observed().Machines[0], imageTwo), update(ch.Observed().Machines[1], imageTwo),
		create("shop-app-ams-1", imageTwo))
	if got := w.machines(t); len(got) != 2 {
		t.Errorf("%d machines, want 2", len(got))
	}
}

func TestCloseGivesLeasesBackAfterCancel(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := w.client(t).Begin(ctx, testApp, plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ch.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	quick := w.client(t, func(o *Options) { o.LeaseWait = 50 * time.Millisecond })
	second, err := quick.Begin(t.Context(), testApp, plan.Scope{})
	if err != nil {
		t.Fatalf("the lease was not given back: %v", err)
	}
	_ = second.Close()
}

func TestFailedBeginGivesLeasesBack(t *testing.T) {
	w := newWorld(t, flysim.Options{})
	ch := begin(t, w.client(t))
	apply(t, ch, firstSteps()...)
	_ = ch.Close()
	quick := w.client(t, func(o *Options) { o.LeaseWait = 50 * time.Millisecond })
	second := w.machines(t)[1].ID
	w.road.breaks(&fault{method: http.MethodPost, path: second + `/lease$`, status: 500})
	if _, err := quick.Begin(t.Context(), testApp, plan.Scope{}); err == nil {
		t.Fatal("began without a lease")
	}
	w.road.breaks()
	third, err := quick.Begin(t.Context(), testApp, plan.Scope{})
	if err != nil {
		t.Fatalf("the first lease was not given back: %v", err)
	}
	_ = third.Close()
}

// A lease that is asked for is awaited and given back, although nobody waits for it any more: one that was
// granted to a request that was given up would keep everybody out until it runs out.
func TestLeaseThatWasAskedForIsNotLeftBehind(t *testing.T) {
	slow := flysim.Fault{Match: flysim.Match{Method: http.MethodPost, Path: "*/lease"}, Do: flysim.Effect{DelayMS: 300, After: true}}
	free := func(w *world) {
		t.Helper()
		for _, m := range w.sim.State().Apps[0].Machines {
			if m.Lease != nil {
				t.Errorf("machine %s is leased until %+v", m.ID, m.Lease)
			}
		}
	}
	t.Run("the time to wait is over", func(t *testing.T) {
		w := deployed(t, flysim.Options{})
		if err := w.sim.SetFaults(slow); err != nil {
			t.Fatal(err)
		}
		ch, err := w.client(t, func(o *Options) { o.LeaseWait = 50 * time.Millisecond }).Begin(t.Context(), testApp, plan.Scope{})
		if err != nil {
			t.Fatalf("%v, want the lease that came late", err)
		}
		if err := ch.Close(); err != nil {
			t.Error(err)
		}
		free(w)
	})
	t.Run("told to stop", func(t *testing.T) {
		w := deployed(t, flysim.Options{})
		if err := w.sim.SetFaults(slow); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if _, err := w.client(t).Begin(ctx, testApp, plan.Scope{}); err == nil {
			t.Error("begun although the context has ended")
		}
		free(w)
	})
}
