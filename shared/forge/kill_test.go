package forge_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge/forgesim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// senderEnv makes the test binary a process that delivers until it is killed: redis, forge and postbox, separated by spaces.
const senderEnv = "FLYCD_TEST_FORGE_SENDER"

// senderLease is how long a killed sender keeps a letter.
const senderLease = time.Second

// TestSender is that process, and does nothing otherwise.
func TestSender(t *testing.T) {
	at := strings.Fields(os.Getenv(senderEnv))
	if len(at) != 3 {
		return
	}
	q, err := queue.Open(at[0], "")
	must(t, err)
	q.Times.Outbox.Backoff, q.Times.Outbox.MaxBackoff = 25*time.Millisecond, 100*time.Millisecond
	w := &world{base: at[1]}
	p := postAt(q, w.client(botToken), at[2])
	p.Lease = senderLease
	for {
		if _, err := p.Deliver(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// sender is a process that delivers. It ends with the test, or when it is killed.
func (o *office) sender(redis string) (kill func()) {
	o.t.Helper()
	self, err := os.Executable()
	must(o.t, err)
	cmd := exec.CommandContext(o.t.Context(), self, "-test.run=^TestSender$")
	cmd.Env = append(os.Environ(), senderEnv+"="+redis+" "+o.base+" "+o.box.URL)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	must(o.t, cmd.Start())
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// Broken when: forges that fail and processes that die make feedback that is lost, doubled, or out of order.
func TestFeedbackArrivesInOrderAndOncePerState(t *testing.T) {
	redis := queuetest.Redis(t)
	o := newOffice(t, redis)
	apps := []string{"web", "api", "db"}
	var entries []catalog.Entry
	for _, a := range apps {
		e := o.web()
		e.App, e.Notify = a, []catalog.Notify{{To: "ci", On: []string{"success", "failure"}}}
		entries = append(entries, e)
	}
	o.catalog(entries...)
	chance := func(do forgesim.Effect, p float64) forgesim.Fault {
		return forgesim.Fault{Match: forgesim.Match{Probability: p}, Do: do}
	}
	must(t, o.sim.SetFaults(chance(forgesim.Effect{Drop: "after"}, 0.08), chance(forgesim.Effect{Status: 502, After: true}, 0.05),
		chance(forgesim.Effect{Status: 500}, 0.08), chance(forgesim.Effect{Drop: "before"}, 0.08), chance(forgesim.Effect{DelayMS: 60, After: true}, 0.1)))
	luck, dice := rand.New(rand.NewPCG(5, 6)), rand.New(rand.NewPCG(1, 2))
	o.box.wrong = func() bool { return luck.IntN(4) == 0 }

	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		kills, wait := 0, rand.New(rand.NewPCG(3, 4))
		for {
			kill := o.sender(redis)
			select {
			case <-stop:
				kill()
				ended <- kills
				return
			case <-time.After(time.Duration(60+wait.IntN(300)) * time.Millisecond):
				kill()
				kills++
			}
		}
	}()
	want := map[string][]string{}
	for i := range 8 {
		for _, a := range apps {
			j := o.push(o.job(func(j *job.Job) { j.App = a }))
			time.Sleep(time.Duration(dice.IntN(30)) * time.Millisecond)
			r, state := updated(i+1), "success"
			if i%3 == 2 {
				r, state = job.Result{Outcome: job.Failed, Detail: "it broke"}, "failure"
			}
			r.SourceCommit = o.commit
			must(t, o.q.Finish(t.Context(), o.start(j), r))
			want[a] = append(want[a], string(j.ID[:8])+" "+state)
		}
	}
	o.drained()
	close(stop)
	if kills := <-ended; kills < 5 {
		t.Errorf("only %d senders were killed", kills)
	}
	must(t, o.sim.SetFaults())
	o.compare(apps, want)
}

// drained waits until no letter is left.
func (o *office) drained() {
	o.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		cursor, err := o.q.FeedCursor(o.t.Context())
		must(o.t, err)
		events, err := o.q.Events(o.t.Context(), cursor, 1)
		must(o.t, err)
		_, n, err := o.q.LettersDue(o.t.Context())
		must(o.t, err)
		if n == 0 && len(events) == 0 {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%d letters are left", n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// compare checks what arrived with the ends of the apps' jobs, in their order.
func (o *office) compare(apps []string, want map[string][]string) {
	o.t.Helper()
	list, total, err := o.q.Undelivered(o.t.Context(), 10)
	must(o.t, err)
	if total != 0 {
		o.t.Errorf("%d letters were given up: %+v", total, list)
	}
	st := o.state(o.t)
	all := 0
	for _, a := range apps {
		all += len(want[a])
		var ends []string
		pending := map[string]int{}
		for _, s := range st.Statuses {
			id := s.Description[strings.LastIndex(s.Description, " ")+1:]
			switch {
			case s.Context != "flycd/"+a:
			case s.State == "pending":
				if pending[id]++; pending[id] > 1 || slices.ContainsFunc(ends, func(e string) bool { return strings.HasPrefix(e, id) }) {
					o.t.Errorf("%s of %s is pending twice, or late", id, a)
				}
			default:
				ends = append(ends, id+" "+s.State)
			}
		}
		if !slices.Equal(ends, want[a]) {
			o.t.Errorf("%s ended\n%q, want\n%q", a, ends, want[a])
		}
	}
	if len(st.Deployments) != all {
		o.t.Errorf("%d deployments of %d", len(st.Deployments), all)
	}
	for _, d := range st.Deployments {
		if first := d.States; len(first) == 0 || first[0] != "success" && first[0] != "failure" || slices.Contains(first[1:], first[0]) {
			o.t.Errorf("a deployment went through %q", first)
		}
	}
	told := map[string][]string{}
	for _, n := range o.notices() {
		state := "success"
		if !n.Outcome.Done() {
			state = "failure"
		}
		told[n.App] = append(told[n.App], fmt.Sprintf("%s %s", n.Job[:8], state))
	}
	for _, a := range apps {
		if !slices.Equal(told[a], want[a]) {
			o.t.Errorf("of %s people were told\n%q, want\n%q", a, told[a], want[a])
		}
	}
}
