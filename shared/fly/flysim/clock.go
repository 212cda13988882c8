package flysim

import (
	"container/heap"
	"time"
)

// clock is a base that runs, an offset that tests add, and maybe a moment at which it stands still.
type clock struct {
	base   func() time.Time
	offset time.Duration
	frozen time.Time
}

func (c *clock) now() time.Time {
	if !c.frozen.IsZero() {
		return c.frozen
	}
	return c.base().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	if !c.frozen.IsZero() {
		c.frozen = c.frozen.Add(d)
	}
	c.offset += d
}

func (c *clock) freeze() {
	if c.frozen.IsZero() {
		c.frozen = c.now()
	}
}

func (c *clock) resume() {
	if c.frozen.IsZero() {
		return
	}
	c.offset = c.frozen.Sub(c.base())
	c.frozen = time.Time{}
}

// task is something that happens at a time. One that belongs to a machine lapses when the machine
// has changed its state since.
type task struct {
	at    time.Time
	seq   uint64
	m     *machine
	epoch int
	run   func()
}

// agenda is a heap of tasks, earliest first, in the order they were added where times are equal.
type agenda []*task

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].seq < a[j].seq
	}
	return a[i].at.Before(a[j].at)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is for container/heap.
func (a *agenda) Push(x any) { *a = append(*a, x.(*task)) }

// Pop is for container/heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	*a = (*a)[:last]
	return t
}

// Now is the simulated time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.now()
}

// Advance moves the clock forward; everything that became due has happened when it returns.
func (s *Server) Advance(d time.Duration) {
	s.turn(func(c *clock) { c.advance(d) })
}

// Freeze stops the clock. Only Advance moves it until Resume.
func (s *Server) Freeze() {
	s.turn(func(c *clock) { c.freeze() })
}

// Resume lets a frozen clock run on from where it stands.
func (s *Server) Resume() {
	s.turn(func(c *clock) { c.resume() })
}

func (s *Server) turn(change func(*clock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.clock)
	s.settle()
	s.announce()
	s.nudge()
}

// now is the time at which what happens now happens: the due time of the running task, else the
// clock's.
func (s *Server) now() time.Time {
	if !s.virtual.IsZero() {
		return s.virtual
	}
	return s.clock.now()
}

// settle runs everything that is due, each at its own time.
func (s *Server) settle() {
	until := s.clock.now()
	for len(s.tasks) > 0 && !s.tasks[0].at.After(until) {
		t, _ := heap.Pop(&s.tasks).(*task)
		s.virtual = t.at
		if t.m == nil || t.m.epoch == t.epoch {
			t.run()
		}
	}
	s.virtual = time.Time{}
}

// later runs a task of the machine in d, unless the machine changes its state before.
func (s *Server) later(m *machine, d time.Duration, run func()) {
	s.seq++
	t := &task{at: s.now().Add(d), seq: s.seq, m: m, run: run}
	if m != nil {
		t.epoch = m.epoch
	}
	heap.Push(&s.tasks, t)
	s.nudge()
}

// nudge makes the loop look at the agenda again.
func (s *Server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// loop runs due tasks until Close.
func (s *Server) loop() {
	defer s.wg.Done()
	for {
		s.mu.Lock()
		s.settle()
		pause := s.pause()
		s.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case <-s.done:
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause is how long nothing becomes due by itself.
func (s *Server) pause() time.Duration {
	switch {
	case len(s.tasks) == 0 || !s.clock.frozen.IsZero():
		return time.Hour
	case s.opts.Now != nil:
		return 2 * time.Millisecond // nobody tells us when a foreign clock moves
	}
	return max(0, s.tasks[0].at.Sub(s.clock.now()))
}
