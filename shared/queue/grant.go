package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// Granted is what a machine is let in for: what it may be given, and until when.
type Granted struct {
	Job     job.Job
	Attempt int
	Machine string
	// Entry is what the catalog says of the job's app now, nil where no tree names it.
	Entry *catalog.Entry
	// Includes are the repositories that the job's tree includes, as far as it was read.
	Includes []catalog.Include
	// Deadline is when the attempt must be done, on this machine's clock.
	Deadline time.Time
}

// Grant binds an attempt to the first machine that asks, and returns ErrRefused to every other one, and when the job is
// not launching at that attempt. Again for the same machine is fine, until the attempt ends. Whether the machine is
// what it says must have been found out before. The scripts that the machine will call are loaded where they are not.
func (q *Queue) Grant(ctx context.Context, id job.ID, attempt int, machine string) (Granted, error) {
	start := time.Now()
	if machine == "" {
		return Granted{}, fmt.Errorf("grant job %s at attempt %d: %w: no machine is named", id, attempt, ErrRefused)
	}
	reply, err := q.run(ctx, "grant.lua", string(id), attempt, machine).Slice()
	if err != nil {
		return Granted{}, fmt.Errorf("grant job %s: %w", id, err)
	}
	if integer(reply[0]) == 0 {
		return Granted{}, fmt.Errorf("grant job %s at attempt %d: %w: it is %s", id, attempt, ErrRefused, str(reply[1]))
	}
	g := Granted{Attempt: attempt, Machine: machine, Deadline: start.Add(millis(reply[2]))}
	if g.Job, err = job.Decode([]byte(str(reply[1]))); err != nil {
		return Granted{}, fmt.Errorf("grant job %s: %w", id, err)
	}
	if g.Entry, err = entryOf(g.Job, reply[3]); err != nil {
		return Granted{}, err
	}
	// a help, and no condition: a runner that misses a script says so
	_ = q.LoadScripts(ctx)
	var bodies []string
	for _, v := range reply[4:] {
		bodies = append(bodies, str(v))
	}
	g.Includes, err = decodeIncludes(bodies)
	return g, err
}
