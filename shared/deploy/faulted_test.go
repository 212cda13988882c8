package deploy_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// fault is what becomes of a single call.
type fault struct {
	name string
	do   flysim.Effect
	// ttl is that of the deployer's leases, half of which is its patience with a write.
	ttl time.Duration
}

// faultsOf are what can become of a call. What reads has no effect that could be lost.
func faultsOf(method string) []fault {
	all := []fault{{"cut", flysim.Effect{Drop: "before"}, patient}}
	status := func(code int, after bool) {
		name := fmt.Sprint(code)
		if after {
			name += " after it took effect"
		}
		all = append(all, fault{name, flysim.Effect{Status: code, After: after}, patient})
	}
	for _, code := range []int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusTooManyRequests} {
		status(code, false)
	}
	for _, code := range []int{http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		status(code, false)
		if method != http.MethodGet {
			status(code, true)
		}
	}
	if method != http.MethodGet {
		all = append(all, fault{"cut after it took effect", flysim.Effect{Drop: "after"}, patient},
			fault{"slow", flysim.Effect{DelayMS: 1500, After: true}, 2 * time.Second})
	}
	return all
}

// patient is a time to live of leases that a busy machine does not outlast.
const patient = 20 * time.Second

// call is a request to Fly by its kind, and which of its kind it is.
type call struct {
	method, path string
	nth          int
}

// match is what hits the call. The path of an update is the beginning of other ones, so its body tells it apart.
func (c call) match() flysim.Match {
	m := flysim.Match{Method: c.method, Path: c.path, Nth: c.nth}
	if c.method == http.MethodPost && strings.HasSuffix(c.path, "/machines/*") {
		m.Body = `"config":`
	}
	return m
}

var id = regexp.MustCompile(`\b([0-9a-f]{14}|vol_[0-9a-z]+|[0-9]+\.[0-9.]+|[0-9a-f]+:[0-9a-f:]+)\b`)

// callsOf gives the calls of a deploy, of each kind the first and the last.
func (b *bench) callsOf(requests []string) []call {
	count := map[call]int{}
	for _, r := range requests {
		method, uri, _ := strings.Cut(r, " ")
		path, _, _ := strings.Cut(uri, "?")
		count[call{method: method, path: id.ReplaceAllString(path, "*")}]++
	}
	var all []call
	for c, n := range count {
		all = append(all, call{c.method, c.path, 1})
		if n > 1 {
			all = append(all, call{c.method, c.path, n})
		}
	}
	slices.SortFunc(all, func(a, b call) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// TestAnyFaultAtAnyCallIsOutlived makes every kind of call of a first deploy and of an update go wrong in
// every way. Each ends in success, or in an error or result that the next run repairs: the app is
// then what it is without faults, and nothing is there twice.
func TestAnyFaultAtAnyCallIsOutlived(t *testing.T) {
	var all crowd
	defer all.wait()
	for _, phase := range []string{"first deploy", "update"} {
		prepare := func(t *testing.T) (*bench, func(job string, ttl time.Duration) error) {
			t.Helper()
			b, tree, commit := wholeBench(t)
			if phase == "update" {
				b.deploy("shop", tree, nil)
				b.deployer.Secrets.Env["API_KEY"] = "second-api-key"
				commit("again")
			}
			return b, func(job string, ttl time.Duration) error {
				req := jobOf(job, "shop", tree, b.last["shop"])
				res, err := b.through(http.DefaultTransport, ttl).Deploy(t.Context(), req)
				if err == nil && !res.Outcome.Done() {
					return fmt.Errorf("%s: %s", res.Outcome, res.Detail)
				}
				return err
			}
		}
		b, deploy := prepare(t)
		b.FlyRequests.Reset()
		if err := deploy("first", patient); err != nil {
			t.Fatal(err)
		}
		want := b.shape("shop")
		for i, c := range b.callsOf(b.FlyRequests.Matching(func(string, string) bool { return true })) {
			for k, f := range faultsOf(c.method) {
				if (i+k)%thin() != 0 {
					continue
				}
				all.run(t, fmt.Sprint(phase, " ", c.method, " ", c.path, " #", c.nth, " ", f.name), func(t *testing.T) {
					t.Helper()
					b, deploy := prepare(t)
					if err := b.Sim.SetFaults(flysim.Fault{Match: c.match(), Do: f.do}); err != nil {
						t.Fatal(err)
					}
					first := deploy("first", f.ttl)
					if err := b.Sim.SetFaults(); err != nil {
						t.Fatal(err)
					}
					b.Sim.Advance(time.Minute)
					if err := deploy("next", patient); err != nil {
						t.Fatalf("the first run ended with %v, the next with %v", first, err)
					}
					if got := b.shape("shop"); got != want {
						t.Errorf("the first run ended with %v; now\n%s\nwant\n%s", first, got, want)
					}
				})
			}
		}
	}
}
