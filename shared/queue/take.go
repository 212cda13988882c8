package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

const takeEntries = 100

// Launch is a job that is to get a machine.
type Launch struct {
	Job     job.Job
	Attempt int
	// Deadline is when the machine must have claimed the job; RunDeadline is when the attempt must
	// be done. Both are on this machine's clock.
	Deadline    time.Time
	RunDeadline time.Time
}

// Take gives one job that is to be launched, and false when nothing waits or when most jobs are
// active. The job is launching from then on: launch it, or call Unlaunch; one that is forgotten
// is found by Due after its start deadline.
func (q *Queue) Take(ctx context.Context, most int) (Launch, bool, error) {
	list, err := q.TakeMany(ctx, most, 1)
	if len(list) == 0 {
		return Launch{}, false, err
	}
	return list[0], true, nil
}

// TakeMany gives up to n jobs that are to be launched, in one command, as far as no more than
// most jobs are active then. It is Take otherwise. What they give is sealed where Seal is set. With an error it may
// still give jobs: launch them.
func (q *Queue) TakeMany(ctx context.Context, most, n int) ([]Launch, error) {
	for ctx.Err() == nil {
		start := time.Now()
		reply, err := q.run(ctx, "take.lua", most, q.Times.Start.Milliseconds(), q.Times.Run.Milliseconds(),
			takeEntries, rand.Text(), n, q.Times.Needed.Milliseconds(), q.Times.keep(), q.seal(), q.Times.Held.Milliseconds()).Slice()
		if err != nil {
			return nil, fmt.Errorf("take jobs: %w", err)
		}
		launches, err := q.launches(ctx, reply[1:], start)
		// Stale or unreadable entries may hide others.
		again := integer(reply[0]) == 1 || len(reply) > 1
		if len(launches) > 0 || err != nil || !again {
			return launches, err
		}
	}
	return nil, ctx.Err()
}

// seal is Seal as take.lua takes it.
func (q *Queue) seal() string {
	if q.Seal {
		return "1"
	}
	return ""
}

// launches reads what take.lua gave, and buries what nobody can read.
func (q *Queue) launches(ctx context.Context, reply []any, start time.Time) ([]Launch, error) {
	var list []Launch
	var errs []error
	for ; len(reply) >= 5; reply = reply[5:] {
		id := str(reply[0])
		j, err := job.Decode([]byte(str(reply[1])))
		if err == nil && string(j.ID) != id {
			err = fmt.Errorf("job %s holds the JSON of %s", id, j.ID)
		}
		if err != nil {
			errs = append(errs, q.bury(ctx, id, err.Error()))
			continue
		}
		list = append(list, Launch{
			Job: j, Attempt: int(integer(reply[2])), Deadline: start.Add(millis(reply[3])), RunDeadline: start.Add(millis(reply[4])),
		})
	}
	return list, errors.Join(errs...)
}

// bury ends a job that nobody can read: it is poison, and must not stop the others.
func (q *Queue) bury(ctx context.Context, id, why string) error {
	if err := q.run(ctx, "bury.lua", id, why, q.Times.keep()).Err(); err != nil {
		return fmt.Errorf("bury job %s: %w", id, err)
	}
	return nil
}

// Unlaunch takes back a launch that is known to have made no machine: it spends no attempt, and
// the job waits again after a moment. It changes nothing when the launch is not the current one.
func (q *Queue) Unlaunch(ctx context.Context, l Launch) error {
	err := q.run(ctx, "unlaunch.lua", string(l.Job.ID), l.Attempt, q.Times.Unlaunch.Milliseconds(), q.Times.keep()).Err()
	if err != nil {
		return fmt.Errorf("unlaunch job %s: %w", l.Job.ID, err)
	}
	return nil
}

// DueReport says what a due pass did.
type DueReport struct {
	// Lapsed attempts passed their deadline; Released jobs had been delayed; Reclaimed entries had
	// been left behind by a crash.
	Lapsed, Released, Reclaimed int
	// Active is the number of jobs that were active at the end of it.
	Active int
	// More is true when the bound of a pass was reached: run it again.
	More bool
	// NextDue is when the next deadline passes, on this machine's clock; zero when there is none.
	NextDue time.Time
}

const dueLimit = 100

// Due catches up with the clock, for at most a hundred jobs of each sort. It takes nothing: call
// Take after it. Safe to repeat and to run in several places at once.
func (q *Queue) Due(ctx context.Context) (DueReport, error) {
	start := time.Now()
	reply, err := q.run(ctx, "due.lua", dueLimit, q.Times.Lost, q.Times.Backoff.Milliseconds(), q.Times.keep(),
		q.Times.Held.Milliseconds()).Int64Slice()
	if err != nil {
		return DueReport{}, fmt.Errorf("run due pass: %w", err)
	}
	r := DueReport{Lapsed: int(reply[0]), Released: int(reply[1]), Reclaimed: int(reply[2]), More: reply[3] == 1, Active: int(reply[5])}
	if reply[4] >= 0 {
		r.NextDue = start.Add(time.Duration(reply[4]) * time.Millisecond)
	}
	return r, nil
}

// Lapse gives one attempt up before its deadline, because its machine is known to be gone. It
// reports whether that attempt was active.
func (q *Queue) Lapse(ctx context.Context, id job.ID, attempt int, reason string) (bool, error) {
	state, err := q.run(ctx, "lapse.lua", string(id), attempt, reason, q.Times.Lost, q.Times.Backoff.Milliseconds(), q.Times.keep()).Text()
	if err != nil {
		return false, fmt.Errorf("lapse job %s: %w", id, err)
	}
	return state != "", nil
}

func millis(v any) time.Duration { return time.Duration(integer(v)) * time.Millisecond }
