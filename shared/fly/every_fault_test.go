package fly

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// holdings counts what the simulator holds, by kind and name, and says how it is.
func (w *world) holdings(t *testing.T) (counts map[string]int, text string) {
	t.Helper()
	counts = map[string]int{}
	var lines []string
	add := func(key, how string) {
		counts[key]++
		lines = append(lines, strings.TrimSpace(key+" "+how))
	}
	o := w.scoped(t, tableScope())
	if !o.Exists {
		return counts, ""
	}
	for _, m := range o.Machines {
		s := w.state(t, m.Name)
		add("machine "+m.Name, fmt.Sprintf("%s hidden=%t secrets=%t", m.Config.Image, m.Cordoned, s.SecretsVersion > 0))
	}
	for _, m := range o.Commands {
		add("command "+m.Name, "")
	}
	for _, v := range o.Volumes {
		add("volume "+v.Name, fmt.Sprintf("%d GB kept=%d attached=%t", v.SizeGb, v.SnapshotRetention, v.IsAttached()))
	}
	for _, ip := range o.IPs {
		add(fmt.Sprintf("address v4=%t egress=%t", strings.Contains(ip.Address, "."), ip.Egress), "")
	}
	for _, s := range o.Secrets {
		add("secret "+s.Name, s.Digest)
	}
	for _, c := range o.Certs {
		add("certificate "+c.Hostname, "")
	}
	for _, a := range o.Addons {
		add("add-on "+a.Name, a.State)
	}
	slices.Sort(lines)
	return counts, strings.Join(lines, "\n")
}

var (
	machinePart = regexp.MustCompile(`/[0-9a-f]{14}\b`)
	volumePart  = regexp.MustCompile(`/vol_\w+`)
	ipPart      = regexp.MustCompile(`/ip_assignments/.+`)
	releasePart = regexp.MustCompile(`/releases/.+`)
	clusterPart = regexp.MustCompile(`/(postgresv2)/[0-9a-z]+`)
)

// callsOf gives the calls that a scenario makes, each kind once.
func (w *world) callsOf(t *testing.T, s scenario) []fault {
	t.Helper()
	w.road.all = nil
	if err := s.play(t.Context(), w.client(t, tableClient)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]fault{}
	for _, line := range w.road.all {
		method, path, _ := strings.Cut(line, " ")
		f := fault{method: method}
		if method == "GRAPH" {
			f.method, f.path, f.says = http.MethodPost, "/graphql$", path[strings.LastIndex(path, " ")+1:]
		} else {
			path = regexp.QuoteMeta(path)
			path = machinePart.ReplaceAllString(path, "/[0-9a-f]{14}")
			path = volumePart.ReplaceAllString(path, `/vol_\w+`)
			path = clusterPart.ReplaceAllString(path, "/$1/[0-9a-z]+")
			path = ipPart.ReplaceAllString(path, "/ip_assignments/.+")
			f.path = releasePart.ReplaceAllString(path, "/releases/.+") + "$"
		}
		seen[f.method+f.path+f.says] = f
	}
	var out []fault
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[key])
	}
	return out
}

// faultsAt gives every fault at one call.
func faultsAt(call fault) []*fault {
	var out []*fault
	for _, f := range faultsOf(call.method, call.path) {
		if f.nth == 0 && (call.method == http.MethodGet || call.says == "organization" || call.says == "app") {
			continue // nothing can be done where nothing can be seen
		}
		f.says = call.says
		out = append(out, f)
	}
	slow := call
	slow.nth, slow.slow, slow.after = 1, slowAnswer, true
	return append(out, &slow)
}

// TestEveryFaultAtEveryCallEndsWellOrIsRepaired: whatever goes wrong at any call of a first deploy or
// of an update, the deploy succeeds or fails clearly, the next one repairs it, and nothing is ever there,
// set or run twice.
func TestEveryFaultAtEveryCallEndsWellOrIsRepaired(t *testing.T) {
	// most of the time is spent waiting, so many run side by side
	slots, all, n := make(chan struct{}, 64), sync.WaitGroup{}, 0
	if sampled {
		slots = make(chan struct{}, 12)
	}
	for i, s := range []scenario{firstDeploy(), nextDeploy()} {
		w := tableWorld(t, i)
		calls := w.callsOf(t, s)
		_, want := w.holdings(t)
		if len(calls) < 19 {
			t.Errorf("%s makes only %d kinds of calls", s.name, len(calls))
		}
		for _, call := range calls {
			for _, f := range faultsAt(call) {
				if n++; (sampled || testing.Short()) && n%25 != 0 {
					continue
				}
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots }()
					t.Run(fmt.Sprintf("%s %s %s%s %s", s.name, f.method, f.path, f.says, f), func(t *testing.T) {
						cell{s, f, tableWorld(t, i), want}.check(t)
					})
				})
			}
		}
	}
	all.Wait()
}

// tableWorld is a world before the scenario: the update's has had a first deploy.
func tableWorld(t *testing.T, deploys int) *world {
	t.Helper()
	w := newWorld(t, flysim.Options{Remember: time.Hour})
	if deploys > 0 {
		if err := firstDeploy().play(t.Context(), w.client(t, tableClient)); err != nil {
			t.Fatal(err)
		}
	}
	w.road.written()
	return w
}

// cell is one fault at one call of a scenario.
type cell struct {
	scenario
	fault *fault
	world *world
	want  string
}

func (c cell) check(t *testing.T) {
	t.Helper()
	w := c.world
	before, _ := w.holdings(t)
	w.road.breaks(c.fault)
	err := c.play(t.Context(), w.client(t, tableClient))
	c.judge(t, err)
	c.once(t, before)
	if c.fault.seen == 0 && !strings.HasSuffix(c.fault.path, "/wait$") { // a machine may be quicker
		t.Error("the fault met no request")
	}
	if _, got := w.holdings(t); err == nil && got != c.want {
		t.Errorf("it succeeded with\n%s\nwant\n%s", got, c.want)
	}
	w.road.breaks()
	w.road.written()
	if again := c.play(t.Context(), w.client(t, tableClient)); again != nil {
		t.Fatalf("the next run does not repair it: %v (before: %v)", again, err)
	}
	c.once(t, before)
	if _, got := w.holdings(t); got != c.want {
		t.Errorf("repaired to\n%s\nwant\n%s\nafter: %v", got, c.want, err)
	}
	for _, m := range w.app(t).Machines {
		if m.State == "started" && m.SecretsVersion != w.secretsVersion(t) && slices.Contains(c.proof, m.Name) {
			t.Errorf("%s has secrets version %d, want %d", m.Name, m.SecretsVersion, w.secretsVersion(t))
		}
	}
}

// once holds that nothing is there more often than before the scenario or after it, and that the
// secret was set once.
func (c cell) once(t *testing.T, before map[string]int) {
	t.Helper()
	counts, _ := c.world.holdings(t)
	for key, n := range counts {
		most := max(before[key], strings.Count("\n"+c.want+"\n", "\n"+key+"\n")+strings.Count("\n"+c.want, "\n"+key+" "))
		if n > most {
			t.Errorf("%s is there %d times, want %d at most", key, n, most)
		}
	}
	if n := c.world.sets(c.secret); n > 1 {
		t.Errorf("the secret was set %d times", n)
	}
}

// judge holds the first run to its word: a fault that passes is overcome, and no error tells secrets or is final
// where it should not be.
func (c cell) judge(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if got := errors.Is(err, job.ErrRejected); got && c.fault.status != 422 {
		t.Errorf("rejected, by %v", err)
	}
	for _, secret := range []string{testToken, "GREETING", c.secret} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %s: %v", secret, err)
		}
	}
	if s := c.fault.status; c.fault.nth == 1 && s != 422 && s != 409 {
		t.Errorf("a fault that passes fails the deploy: %v", err)
	}
}
