package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// course is the order in which apps are deployed: side by side, but each after those that it depends on.
// The goroutine of an app writes to its place in results and errs, and closes its place in ended.
type course struct {
	list    []task
	place   map[string]int
	refused map[string]bool
	slots   chan struct{}

	ended   []chan struct{}
	results []job.Result
	errs    []error
}

// newCourse is for so many apps at once. Apps of which the manifest is refused are none of the tasks.
func newCourse(t *tasks, atOnce int) *course {
	c := &course{
		list: t.list, place: map[string]int{}, refused: map[string]bool{}, slots: make(chan struct{}, max(atOnce, 1)),
		results: make([]job.Result, len(t.list)), errs: make([]error, len(t.list)),
	}
	for i, one := range t.list {
		c.place[one.app] = i
		c.ended = append(c.ended, make(chan struct{}))
	}
	for _, p := range t.problems {
		c.refused[p.App] = true
	}
	return c
}

// needs gives what the apps depend on.
func (c *course) needs() catalog.Needs {
	needs := catalog.Needs{}
	for _, t := range c.list {
		needs[t.app] = t.needs
	}
	return needs
}

// circles ends the apps that depend on themselves, and gives the places of the others.
func (c *course) circles() []int {
	var rest []int
	needs := c.needs()
	for i, t := range c.list {
		way := needs.Cycle(t.app)
		if way == nil {
			rest = append(rest, i)
			continue
		}
		c.results[i] = job.Result{Outcome: job.Rejected, Detail: "depends_on goes in a circle: " + strings.Join(way, " → ") + ": take one of them out"}
		close(c.ended[i])
	}
	return rest
}

// await waits until those have ended that the app at i depends on, and for a slot; leave gives that back.
// obstacle says why the app is not to be deployed, where it is not; the error is ctx's.
func (c *course) await(ctx context.Context, i int) (leave func(), obstacle string, err error) {
	for _, other := range c.list[i].needs {
		at, here := c.place[other]
		switch {
		case here:
			select {
			case <-c.ended[at]:
			case <-ctx.Done():
				return nil, "", context.Cause(ctx)
			}
			if bad := c.badly(at); bad != "" {
				return nil, fmt.Sprintf("not deployed: %s, which it depends on, %s", other, bad), nil
			}
		case c.refused[other]:
			return nil, fmt.Sprintf("not deployed: %s, which it depends on, is refused", other), nil
		}
	}
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, "", nil
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
}

// badly says how an app ended that did not end well.
func (c *course) badly(i int) string {
	switch o := c.results[i].Outcome; {
	case c.errs[i] != nil, o == job.Failed:
		return "failed"
	case !o.Done():
		return "was " + string(o)
	default:
		return ""
	}
}
