package fly

import (
	"context"
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
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// tableScope is all that can be observed.
func tableScope() plan.Scope {
	return plan.Scope{Secrets: true, Certs: true, Commands: true, Egress: true, Addons: []machine.Addon{redis(), bucket(), postgres()}}
}

// tableClient is a deployer whose lost leases run out soon.
func tableClient(o *Options) {
	o.LeaseTTL, o.LeaseWait, o.Lag = 6*time.Second, 9*time.Second, 100*time.Millisecond
}

// slowAnswer outlasts a write of the table's client.
const slowAnswer = 3300 * time.Millisecond

// scenario is a deploy as this room is asked for it: a release, steps in their order, a proof.
type scenario struct {
	name   string
	secret string
	steps  func(ch *Change, o plan.Observed) []plan.Step
	proof  []string
	image  string
}

// sealed is a config that says which secrets its machine has, as plan's do.
func sealed(ch *Change, name, image string) plan.CreateMachine {
	s := create(name, image)
	if v := ch.minSecrets(); v != nil {
		s.Config.Metadata["flycd_secrets"] = fmt.Sprint(*v)
	}
	return s
}

func firstDeploy() scenario {
	return scenario{
		name: "first deploy", secret: "first-value", proof: []string{"shop-app-ams-0", "shop-db-ams-0"}, image: imageOne,
		steps: func(ch *Change, _ plan.Observed) []plan.Step {
			db := sealed(ch, "shop-db-ams-0", imageOne)
			db.Config.Mounts, db.Volume = append(db.Config.Mounts, mount()), "data"
			return []plan.Step{
				plan.CreateApp{App: testApp, Org: "personal"},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: redis()},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: bucket()},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: postgres()},
				plan.SetSecrets{App: testApp, Set: []string{"A"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v6"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v4"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "egress", Region: "ams"}},
				plan.AddCert{App: testApp, Hostname: "shop.example.com"},
				plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"},
				plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams", Ordinal: 1},
				command("shop-release-j1"),
				sealed(ch, "shop-app-ams-0", imageOne), db,
			}
		},
	}
}

// nextDeploy changes, hides, shows, and takes away.
func nextDeploy() scenario {
	return scenario{
		name: "update", secret: "second-value", proof: []string{"shop-app-ams-1", "shop-db-ams-0"}, image: imageTwo,
		steps: func(ch *Change, o plan.Observed) []plan.Step {
			green := sealed(ch, "shop-app-ams-1", imageTwo)
			green.Hidden = true
			days := 21
			steps := []plan.Step{plan.SetSecrets{App: testApp, Set: []string{"B"}, Unset: []string{"A"}}}
			var away []plan.Step
			for _, v := range o.Volumes {
				if v.IsAttached() {
					steps = append(steps, plan.ExtendVolume{App: testApp, Volume: v, SizeGB: 3}, plan.UpdateVolume{App: testApp, Volume: v, SnapshotRetention: &days})
				} else {
					away = append(away, plan.DestroyVolume{App: testApp, Volume: v})
				}
			}
			steps = append(steps, command("shop-release-j2"), green, plan.Uncordon{App: testApp, Name: green.Name})
			for _, m := range o.Machines {
				switch m.Name {
				case "shop-app-ams-0":
					steps = append(steps, plan.Cordon{App: testApp, Machine: m.ID})
					away = append(away, plan.DestroyMachine{App: testApp, Machine: m})
				case "shop-db-ams-0":
					u := plan.UpdateMachine{App: testApp, Machine: m, Config: sealed(ch, m.Name, imageTwo).Config}
					u.Config.Mounts = m.Config.Mounts
					steps = append(steps, u)
				}
			}
			for _, ip := range o.IPs {
				if ip.Egress || strings.Contains(ip.Address, ".") {
					away = append(away, plan.ReleaseIP{App: testApp, Address: ip.Address})
				}
			}
			for _, a := range o.Addons {
				away = append(away, plan.DestroyAddon{App: testApp, Addon: a})
			}
			return append(append(steps, away...), plan.RemoveCert{App: testApp, Hostname: "shop.example.com"})
		},
	}
}

// play does the scenario once. Machines are asked for anew when the secrets' version is known.
func (s scenario) play(ctx context.Context, c *Client) error {
	ch, err := c.Begin(ctx, testApp, tableScope())
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	ch.Provide(secretsOf(map[string]string{"A": s.secret, "B": s.secret}))
	var record ReleaseRecord
	o := ch.Observed()
	for i := range s.steps(ch, o) {
		step := s.steps(ch, o)[i]
		if err := ch.Apply(ctx, step); err != nil {
			_ = c.EndRelease(ctx, record, "failed", err.Error())
			return fmt.Errorf("%T: %w", step, err)
		}
		if i == 0 {
			record, _ = c.StartRelease(ctx, newRelease()) // it fails no deploy
		}
	}
	for _, name := range s.proof {
		p := proof(name, s.image)
		m, _ := ch.named(name)
		p.Machines[0].Config = m.Config
		if err := ch.Prove(ctx, p); err != nil {
			return fmt.Errorf("prove: %w", err)
		}
	}
	_ = c.EndRelease(ctx, record, "complete", "")
	return nil
}

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
	slots, all, n := make(chan struct{}, 24), sync.WaitGroup{}, 0
	for i, s := range []scenario{firstDeploy(), nextDeploy()} {
		w := tableWorld(t, i)
		calls := w.callsOf(t, s)
		_, want := w.holdings(t)
		if len(calls) < 19 {
			t.Errorf("%s makes only %d kinds of calls", s.name, len(calls))
		}
		for _, call := range calls {
			for _, f := range faultsAt(call) {
				if n++; (sampled || testing.Short()) && n%10 != 0 {
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
