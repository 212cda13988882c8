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

// faults are what can become of a single call. A slow answer comes after the client's patience.
func faults() map[string]flysim.Effect {
	all := map[string]flysim.Effect{
		"cut before": {Drop: "before"},
		"cut after":  {Drop: "after"},
		"slow":       {DelayMS: 300, After: true},
	}
	for _, status := range []int{http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
		http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		all[fmt.Sprint(status)] = flysim.Effect{Status: status}
		all[fmt.Sprint(status, " after it took effect")] = flysim.Effect{Status: status, After: true}
	}
	return all
}

// call is a request to Fly by its kind, and which of its kind it is.
type call struct {
	method, path string
	nth          int
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
	for _, phase := range []string{"first deploy", "update"} {
		prepare := func(t *testing.T) (*bench, func(job string) error) {
			b, tree, commit := wholeBench(t)
			if phase == "update" {
				b.deploy("shop", tree, nil)
				b.deployer.Secrets.Env["API_KEY"] = "second-api-key"
				commit("again")
			}
			return b, func(job string) error {
				req := jobOf(job, "shop", tree, b.last["shop"])
				d, _ := b.mortal(never)
				res, err := d.Deploy(t.Context(), req)
				if err == nil && !res.Outcome.Done() {
					return fmt.Errorf("%s: %s", res.Outcome, res.Detail)
				}
				return err
			}
		}
		b, deploy := prepare(t)
		b.FlyRequests.Reset()
		if err := deploy("next"); err != nil {
			t.Fatal(err)
		}
		want := b.shape("shop")
		for i, c := range b.callsOf(b.FlyRequests.Matching(func(string, string) bool { return true })) {
			for name, effect := range faults() {
				if testing.Short() && (i+len(name))%7 != 0 {
					continue
				}
				t.Run(fmt.Sprint(phase, " ", c.method, " ", c.path, " #", c.nth, " ", name), func(t *testing.T) {
					t.Parallel()
					b, deploy := prepare(t)
					if err := b.Sim.SetFaults(flysim.Fault{Match: flysim.Match{Method: c.method, Path: c.path, Nth: c.nth}, Do: effect}); err != nil {
						t.Fatal(err)
					}
					first := deploy("first")
					if err := b.Sim.SetFaults(); err != nil {
						t.Fatal(err)
					}
					b.Sim.Advance(time.Minute)
					if err := deploy("next"); err != nil {
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
