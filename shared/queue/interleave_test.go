package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// Three processes do their moves for one app in every order that there is: a dispatcher, the
// runner that it launched, and somebody's due pass. After each move the rules of the layout are
// audited; after the last, the queue is drained, and the newest wish must be what is deployed.
//
// Broken when: any two moves disturb each other. The scripts are atomic, so the orders of whole
// moves are all orders that there are.

// play is one order being played.
type play struct {
	t      *testing.T
	q      *queue.Queue
	pushed []job.Job
	launch *queue.Launch
	claim  *queue.Claim
	// zombie is a claim that its runner still believes in.
	zombie *queue.Claim
	fence  int64
	// deployed is what the last result of web says.
	deployed job.Result
	needs    bool
	frozen   bool
}

func (p *play) deployedWell(app string) error {
	a, _, err := p.q.AppState(p.t.Context(), app)
	if err == nil && !a.Result.Outcome.Done() {
		err = fmt.Errorf("web is launched, and %s was not deployed: %+v", app, a)
	}
	return err
}

type move struct {
	name string
	do   func(*play) error
}

func (p *play) push(j job.Job) error {
	p.pushed = append(p.pushed, j)
	_, _, err := p.q.Push(p.t.Context(), queue.Delivery{GUID: "d-" + string(j.ID), Jobs: []job.Job{j}})
	return err
}

func pushMove(j job.Job) move {
	return move{"push " + j.Order.After, func(p *play) error { return p.push(j) }}
}

func takeMove() move {
	return move{"take", func(p *play) error {
		l, ok, err := p.q.Take(p.t.Context(), 10)
		if !ok || err != nil {
			return err
		}
		p.launch = &l
		if p.frozen {
			return fmt.Errorf("%s is launched, and web is suspended", l.Job.Order.After)
		}
		if p.needs && l.Job.App == "web" {
			return p.deployedWell("db")
		}
		return nil
	}}
}

func unlaunchMove() move {
	return move{"unlaunch", func(p *play) error {
		if p.launch == nil {
			return nil
		}
		return p.q.Unlaunch(p.t.Context(), *p.launch)
	}}
}

func claimMove() move {
	return move{"claim", func(p *play) error {
		if p.launch == nil {
			return nil
		}
		l := *p.launch
		c, err := p.q.Claim(p.t.Context(), l.Job.ID, l.Attempt, fmt.Sprintf("r-%s-%d", l.Job.ID, l.Attempt))
		if errors.Is(err, queue.ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		if p.claim != nil && p.claim.Fence != c.Fence {
			p.zombie = p.claim
		}
		if c.Fence < p.fence {
			return fmt.Errorf("fence %d follows %d", c.Fence, p.fence)
		}
		p.claim, p.fence = c, c.Fence
		return nil
	}}
}

func holdMove() move {
	return move{"hold", func(p *play) error {
		if p.claim == nil {
			return nil
		}
		_, err := p.q.Hold(p.t.Context(), p.claim)
		return err
	}}
}

// finishMove deploys the wish of the claim. Only a current claim may say so.
func finishMove() move {
	return move{"finish", func(p *play) error { return p.finish(p.claim) }}
}

func zombieMove() move {
	return move{"zombie finishes", func(p *play) error { return p.finish(p.zombie) }}
}

func (p *play) finish(c *queue.Claim) error {
	if c == nil {
		return nil
	}
	before, err := p.q.Job(p.t.Context(), c.Job.ID)
	if err != nil {
		return err
	}
	r := job.Result{Outcome: job.Updated}
	if c.Wish.Config != nil {
		r.ConfigCommit = c.Wish.Config.Commit
	}
	if c.Wish.Source != nil {
		r.SourceCommit = c.Wish.Source.Commit
	}
	err = p.q.Finish(p.t.Context(), c, r)
	current := before.State == queue.Claimed && before.Fence == c.Fence
	repeated := before.State == string(r.Outcome) && before.Fence == c.Fence
	switch {
	case errors.Is(err, queue.ErrLost) && !current && !repeated:
		return nil
	case err == nil && c.Job.App != "web":
		return nil
	case err == nil && current:
		p.deployed.ConfigCommit = max(p.deployed.ConfigCommit, r.ConfigCommit)
		if r.SourceCommit != "" {
			p.deployed.SourceCommit = r.SourceCommit
		}
		return nil
	case err == nil && repeated:
		return nil
	default:
		return fmt.Errorf("finish of %s (%s, fence %d) with fence %d gave %w", c.Job.ID, before.State, before.Fence, c.Fence, err)
	}
}

// rejectMove ends a job badly, if the runner has just that one.
func rejectMove(j job.Job) move {
	return move{"reject", func(p *play) error {
		if p.claim == nil || p.claim.Job.ID != j.ID {
			return nil
		}
		err := p.q.Finish(p.t.Context(), p.claim, job.Result{Outcome: job.Rejected})
		if errors.Is(err, queue.ErrLost) {
			return nil
		}
		return err
	}}
}

func giveBackMove(g queue.GiveBack) move {
	return move{"give back", func(p *play) error {
		if p.claim == nil {
			return nil
		}
		_, err := p.q.GiveBack(p.t.Context(), p.claim, g)
		if errors.Is(err, queue.ErrLost) {
			return nil
		}
		return err
	}}
}

func suspendMove() move {
	return move{"suspend", func(p *play) error {
		p.frozen = true
		return p.q.Suspend(p.t.Context(), "web", queue.Suspension{Why: "a freeze"})
	}}
}

func resumeMove() move {
	return move{"resume", func(p *play) error {
		p.frozen = false
		_, err := p.q.Resume(p.t.Context(), "web")
		return err
	}}
}

func dueMove() move {
	return move{"due", func(p *play) error {
		_, err := p.q.Due(p.t.Context())
		return err
	}}
}

func cancelMove(j job.Job) move {
	return move{"cancel " + j.Order.After, func(p *play) error {
		_, err := p.q.Cancel(p.t.Context(), j.ID)
		if errors.Is(err, queue.ErrUnknown) {
			return nil
		}
		return err
	}}
}

// scene is three processes, and what must be deployed when all is done.
type scene struct {
	name      string
	times     func(*queue.Times)
	processes [3][]move
	config    string
	source    string
	// needs says that web depends on db.
	needs bool
}

func scenes() []scene {
	s1, s2 := deployJob("web", "", "c1", 1000), deployJob("web", "c1", "c2", 2000)
	k := deployJob("web", "", "k1", 1500)
	k.Half.Side, k.Half.Repo = job.ConfigSide, "https://github.com/acme/config"
	k.ID = job.Push{Kind: k.Kind, Subject: k.App, Repo: k.Half.Repo, After: "k1", Time: 1500}.ID()
	db, mended := deployJob("db", "", "c1", 1000), deployJob("db", "c1", "c2", 2000)
	lapsing := func(t *queue.Times) { t.Hold, t.Start, t.Backoff, t.Lost = 0, 0, 0, 100 }
	dispatcher := []move{pushMove(s1), takeMove(), pushMove(s2), takeMove()}
	runner := []move{claimMove(), holdMove(), finishMove()}
	due := []move{dueMove(), dueMove()}
	return []scene{
		{
			name: "an app and what it depends on", times: func(t *queue.Times) { lapsing(t); t.Needed = 0 }, needs: true, source: "c1",
			processes: [3][]move{{pushMove(s1), pushMove(db), takeMove(), takeMove()}, {claimMove(), rejectMove(db), finishMove()}, {dueMove(), pushMove(mended)}},
		},
		{"two pushes", nil, [3][]move{dispatcher, runner, due}, "", "c2", false},
		{"pushes out of order", nil, [3][]move{{pushMove(s2), takeMove(), pushMove(s1), takeMove()}, runner, due}, "", "c2", false},
		{"config and source", nil, [3][]move{{pushMove(k), takeMove(), pushMove(s1), takeMove()}, runner, due}, "k1", "c1", false},
		{"holds that lapse", lapsing, [3][]move{dispatcher, runner, due}, "", "c2", false},
		{"attempts that fail", lapsing, [3][]move{dispatcher, {claimMove(), giveBackMove(queue.GiveBack{Failed: true}), claimMove(), finishMove()}, due}, "", "c2", false},
		{
			"launches that made nothing", func(t *queue.Times) { t.Unlaunch = 0 },
			[3][]move{{pushMove(s1), takeMove(), unlaunchMove(), pushMove(s2)}, {claimMove(), finishMove()}, {takeMove(), dueMove(), takeMove()}},
			"", "c2", false,
		},
		{
			"a runner that comes back from the dead", lapsing,
			[3][]move{{pushMove(s1), takeMove(), dueMove(), takeMove(), pushMove(s2)}, {claimMove(), claimMove(), finishMove()}, {zombieMove(), zombieMove()}},
			"", "c2", false,
		},
		{
			"a suspension", func(t *queue.Times) { lapsing(t); t.Held = 0 },
			[3][]move{dispatcher, {claimMove(), giveBackMove(queue.GiveBack{Failed: true}), finishMove()}, {suspendMove(), resumeMove()}},
			"", "c2", false,
		},
		{"a cancelled push", nil, [3][]move{{pushMove(s1), takeMove(), pushMove(s2)}, runner, {cancelMove(s1), dueMove()}}, "", "c2", false},
	}
}

func TestEveryOrderOfMoves(t *testing.T) {
	for name, server := range servers() {
		for _, s := range scenes() {
			t.Run(name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				s.playAll(t, open(t, server(t)))
			})
		}
	}
}

func (s scene) playAll(t *testing.T, q *queue.Queue) {
	t.Helper()
	n := 0
	for order := range orders([3]int{len(s.processes[0]), len(s.processes[1]), len(s.processes[2])}) {
		if !launched(order) {
			continue
		}
		if n++; (sampled || testing.Short()) && n%30 != 10 {
			continue
		}
		// An audit walks the whole server: each order has it for itself.
		if err := q.Redis().FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if s.play(t, q.Fresh(), order); t.Failed() {
			return
		}
	}
	t.Logf("%d orders", n)
}

// launched tells whether the runner does nothing before the dispatcher's second move, which is the
// first take: until then there is no runner.
func launched(order []int) bool {
	takes := 0
	for _, who := range order {
		if who == 0 {
			takes++
		}
		if who == 1 {
			return takes >= 2
		}
	}
	return true
}

// orders gives every way to shuffle three decks together without reordering one.
func orders(left [3]int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		var deal func(left [3]int, dealt []int) bool
		deal = func(left [3]int, dealt []int) bool {
			if left == [3]int{} {
				return yield(dealt)
			}
			for i := range left {
				if left[i] == 0 {
					continue
				}
				rest := left
				rest[i]--
				if !deal(rest, append(dealt, i)) {
					return false
				}
			}
			return true
		}
		deal(left, nil)
	}
}

// catalogOf makes the entries those of a tree.
func catalogOf(t *testing.T, q *queue.Queue, list ...catalog.Entry) {
	t.Helper()
	c := job.Config{Repo: "https://github.com/acme/config"}
	gen, err := q.BeginGeneration(t.Context(), c)
	if err == nil {
		_, err = q.WriteEntries(t.Context(), c, gen, list)
	}
	if err == nil {
		_, err = q.SwitchGeneration(t.Context(), queue.Switch{Config: c, Generation: gen, Order: job.Order{Time: 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s scene) play(t *testing.T, q *queue.Queue, order []int) {
	t.Helper()
	if s.times != nil {
		s.times(&q.Times)
	}
	p, next := &play{t: t, q: q, needs: s.needs}, [3]int{}
	if s.needs {
		catalogOf(t, q, catalog.Entry{App: "web", DependsOn: []string{"db"}}, catalog.Entry{App: "db"})
	}
	var said []string
	fail := func(err error) { t.Errorf("%s: %v", strings.Join(said, ", "), err) }
	for _, who := range order {
		m := s.processes[who][next[who]]
		next[who]++
		said = append(said, m.name)
		if err := m.do(p); err != nil {
			fail(err)
			return
		}
		if err := p.audit(); err != nil {
			fail(err)
			return
		}
	}
	if err := p.drain(); err != nil {
		fail(err)
		return
	}
	if p.deployed.ConfigCommit != s.config || p.deployed.SourceCommit != s.source {
		fail(fmt.Errorf("deployed %q and %q, want %q and %q", p.deployed.ConfigCommit, p.deployed.SourceCommit, s.config, s.source))
	}
}

func (p *play) audit() error {
	broken, err := p.q.Audit(p.t.Context())
	if err == nil && len(broken) > 0 {
		err = errors.New(strings.Join(broken, "; "))
	}
	return err
}

// drain ends what the moves left, as later due passes and runners do; then every job has ended and
// the streams are empty.
func (p *play) drain() error {
	// The runners of the play are gone; what they held lapses.
	active, err := p.q.Active(p.t.Context())
	if err != nil {
		return err
	}
	p.q.Times.Backoff, p.q.Times.Start, p.q.Times.Hold, p.q.Times.Lost = 0, 1e12, 1e12, 100
	for _, r := range active {
		if _, err := p.q.Lapse(p.t.Context(), r.Job.ID, r.Attempt, "the play is over"); err != nil {
			return err
		}
	}
	for range 20 {
		p.launch, p.claim = nil, nil
		for _, m := range []move{dueMove(), takeMove(), claimMove(), finishMove()} {
			if err := m.do(p); err != nil {
				return err
			}
			if err := p.audit(); err != nil {
				return err
			}
		}
		if p.launch == nil {
			return p.empty()
		}
	}
	return errors.New("the queue never gets empty")
}

func (p *play) empty() error {
	s, err := p.q.Stats(p.t.Context())
	if err != nil {
		return err
	}
	if s.Waiting+s.Active+s.Delayed > 0 {
		return fmt.Errorf("something is left: %+v", s)
	}
	for _, j := range p.pushed {
		r, err := p.q.Job(p.t.Context(), j.ID)
		if err != nil {
			return err
		}
		if !r.Over() {
			return fmt.Errorf("job %s is %s", j.Order.After, r.State)
		}
	}
	return nil
}
