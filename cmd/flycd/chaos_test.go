package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// chaosSize is how much is done to the world.
type chaosSize struct {
	images, repos, perRepo, mono int
	pushes, kills                int
	window                       time.Duration
}

func (s chaosSize) apps() int { return s.images + s.repos*s.perRepo + s.mono }

// Hundreds of pushes for fifty apps come at once, late, twice and in the wrong order, while runners are
// killed, dispatchers are restarted or crash between any two commands, and sweeps go on: every app ends on
// its newest commit, and every job is accounted for.
func TestChaosEndsOnTheNewestCommits(t *testing.T) {
	whole := chaosSize{images: 20, repos: 4, perRepo: 5, mono: 10, pushes: 200, kills: 60, window: 20 * time.Second}
	sampled := chaosSize{images: 8, repos: 2, perRepo: 5, mono: 6, pushes: 70, kills: 18, window: 6 * time.Second}
	short := chaosSize{images: 4, repos: 1, perRepo: 5, mono: 6, pushes: 40, kills: 8, window: 3 * time.Second}
	for name, server := range map[string]func(testing.TB) string{"embedded": queuetest.Embedded, "redis": queuetest.Redis} {
		t.Run(name, func(t *testing.T) {
			size := whole
			// the race detector makes everything slow, and the whole storm is there without it
			if raced {
				size = sampled
			}
			// the embedded Redis is the slow one, and the race detector has seen the same moves on the real one
			if testing.Short() || raced && name == "embedded" {
				size = short
			}
			c := newChaos(t, server(t), size)
			c.start()
			c.found()
			c.storm()
			c.settle()
			c.checkJobs()
			c.checkApps()
			c.checkReplays()
			c.checkRunners()
		})
	}
}

// found makes the first pushes of the config repositories, and waits until the catalog knows the apps. Their
// deploys go on.
func (c *chaos) found() {
	c.t.Helper()
	for _, r := range c.repos {
		r.commit(r.files)
	}
	for _, r := range c.trees {
		c.send(r.commit(r.files))
	}
	c.await("the catalog to know all apps", time.Minute, func() bool {
		n := 0
		for _, r := range c.trees {
			entries, err := c.eye.Entries(c.t.Context(), r.config().ID())
			if err != nil {
				c.t.Fatal(err)
			}
			n += len(entries)
		}
		return n == c.size.apps()
	})
}

// storm sends all pushes: half of them at once, the others over the window, each after a delay of its own
// between the commit and the webhook, while runners die and dispatchers change.
func (c *chaos) storm() {
	c.t.Helper()
	var senders sync.WaitGroup
	for i := range c.size.pushes {
		senders.Go(func() {
			if i%2 == 1 {
				time.Sleep(rand.N(c.size.window))
			}
			d := c.change(i)
			time.Sleep(rand.N(300 * time.Millisecond))
			c.send(d)
		})
	}
	for range c.size.kills {
		time.Sleep(c.size.window/time.Duration(2*c.size.kills) + rand.N(c.size.window/time.Duration(c.size.kills)))
		c.kill()
	}
	senders.Wait()
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	c.t.Logf("%d deliveries taken, %d runners killed", len(c.answers), c.killed)
	if c.killed < c.size.kills/3 {
		c.t.Errorf("only %d runners were killed: the chaos proves too little", c.killed)
	}
}

// change commits a change of one or two apps to one of the repositories.
func (c *chaos) change(i int) delivery {
	if i%4 < 2 { // config: some of them many at once, so that the second of their push does not order them
		r := c.trees[i/4%len(c.trees)]
		return r.touch(1+rand.IntN(2), func(a *chaosApp) (string, string) {
			a.greeting = fmt.Sprintf("%d", i)
			return a.name + "/app.yaml", a.manifest()
		})
	}
	r := c.repos[(i/5+i)%len(c.repos)]
	return r.touch(1+rand.IntN(2), func(a *chaosApp) (string, string) {
		a.since = len(r.commits)
		return a.name + "/main", fmt.Sprintf("%d", i)
	})
}
