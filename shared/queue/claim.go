package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// Wish is the newest wish for an app or tree as it stood at the claim. A half that nobody named
// is nil: the config half is then the catalog's, the source half ls-remote's.
type Wish struct {
	Config, Source *job.Half
	// ConfigOrder and SourceOrder place the halves; they are zero for a nil half.
	ConfigOrder, SourceOrder job.Order
	// Force deploys although the digest is unchanged. It outlives the job that asked for it.
	Force bool
}

// Claim is a runner's hold on a job and on the job's subject.
type Claim struct {
	Job     job.Job
	Wish    Wish
	Entry   *catalog.Entry
	App     AppState
	Attempt int
	Machine string
	// Fence grows with every claim of the subject.
	Fence int64
	// FailedAttempts and Lost count the attempts that were spent before this one.
	FailedAttempts, Lost int
	// Most is the number of failed attempts after which the job is dead, and Backoff the wait after the first
	// of them: the app's own (sync.retry), else the queue's. Each further wait is four times as long, a day
	// at most.
	Most    int
	Backoff time.Duration
	// Deadline is when the attempt must be done; TrustedUntil is until when the claim stands if it
	// is never renewed. Both are on this machine's clock.
	Deadline, TrustedUntil time.Time

	// config, source and force are what finishing clears by value.
	config, source, force string
}

// Held is what a renewal says.
type Held struct {
	// Stands is false when another attempt has the job, or its deadline has passed: stop before
	// the next write.
	Stands bool
	// Cancelled is true when a person called the job off.
	Cancelled bool
	// TrustedUntil is until when the claim stands without another renewal. It is anchored at the
	// start of the call, so that a slow answer never lengthens it.
	TrustedUntil time.Time
}

// Claim takes the job that the machine was made for, and no other. It returns ErrRefused when the
// job is not launching at that attempt, or was sealed and not granted to the machine; a claim again by the same machine gives the same fence,
// and the wish as it stands then.
func (q *Queue) Claim(ctx context.Context, id job.ID, attempt int, machine string) (*Claim, error) {
	start := time.Now()
	reply, err := q.run(ctx, "claim.lua", string(id), attempt, machine, q.Times.Hold.Milliseconds(), q.Times.keep()).Slice()
	if err != nil {
		return nil, fmt.Errorf("claim job %s: %w", id, err)
	}
	if integer(reply[0]) == 0 {
		return nil, fmt.Errorf("claim job %s at attempt %d: %w: it is %s", id, attempt, ErrRefused, str(reply[1]))
	}
	j, err := job.Decode([]byte(str(reply[1])))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("claim job %s: %w", id, err), q.bury(ctx, string(id), err.Error()))
	}
	// The order is the queue's: it knows when a wish arrived that named no time.
	j.Order.Time = integer(reply[10])
	desired := flat(reply[7])
	c := &Claim{
		Job: j, Attempt: attempt, Machine: machine, Fence: integer(reply[2]),
		FailedAttempts: int(integer(reply[5])), Lost: int(integer(reply[6])),
		Deadline: start.Add(millis(reply[4])), TrustedUntil: start.Add(millis(reply[3]) - q.Times.Margin),
		App:    appState(j.App, flat(reply[8]), desired),
		config: desired["config"], source: desired["source"], force: desired["force"],
	}
	c.Wish = wishOf(j, desired)
	if c.Entry, err = entryOf(j, reply[9]); err != nil {
		return nil, err
	}
	c.Most, c.Backoff = q.patience(c.Entry)
	return c, nil
}

// entryOf reads the catalog entry that a script gave, nil where there is none.
func entryOf(j job.Job, v any) (*catalog.Entry, error) {
	s := str(v)
	if s == "" {
		return nil, nil //nolint:nilnil // an app need not be in the catalog
	}
	e := &catalog.Entry{}
	if err := json.Unmarshal([]byte(s), e); err != nil {
		return nil, fmt.Errorf("decode catalog entry of %s: %w", j.App, err)
	}
	return e, nil
}

// patience says how often a job is tried, and how long the first wait is.
func (q *Queue) patience(e *catalog.Entry) (most int, backoff time.Duration) {
	most, backoff = q.Times.Failed, q.Times.Backoff
	if e == nil {
		return most, backoff
	}
	if e.Retry.Limit > 0 {
		most = e.Retry.Limit
	}
	if e.Retry.BackoffMS > 0 {
		backoff = time.Duration(e.Retry.BackoffMS) * time.Millisecond
	}
	return most, backoff
}

// mostBackoff bounds the wait between two attempts.
const mostBackoff = 24 * time.Hour

// Wait is how long the job waits after an attempt that fails now.
func (c *Claim) Wait() time.Duration {
	wait := c.Backoff
	for range c.FailedAttempts {
		if wait = 4 * wait; wait >= mostBackoff {
			return mostBackoff
		}
	}
	return min(wait, mostBackoff)
}

// wishOf reads the newest wish. A half that was deployed already, and so was cleared, is still
// this job's if no later push named that side: a forge whose ls-remote lags must not undo it. Where pushes
// of one tick cannot be ordered, and where a tree's later push was done already, the job's own commit may
// be an old one: the half then comes without it, and only the forge knows the head.
func wishOf(j job.Job, desired map[string]string) Wish {
	w := Wish{Force: desired["force"] != "" || j.Force}
	side := func(name job.Side) (*job.Half, job.Order) {
		s := string(name)
		half := job.Half{}
		switch {
		case j.Kind == job.Plan && j.Half.Side == name && j.Half.Repo != "":
			return &j.Half, j.Order
		case desired[s] != "":
			if json.Unmarshal([]byte(desired[s]), &half) != nil {
				return nil, job.Order{}
			}
		case j.Half.Side != name || j.Half.Repo == "" || desired[s+"_job"] == "":
			return nil, job.Order{}
		case desired[s+"_job"] == string(j.ID) && desired[s+"_tie"] == "":
			half = j.Half
		case desired[s+"_job"] == string(j.ID) || j.App == "":
			half = j.Half
			half.Commit, half.Digest = "", ""
		default:
			return nil, job.Order{}
		}
		return &half, job.Order{Time: integer(desired[s+"_time"]), Before: desired[s+"_before"], After: desired[s+"_after"]}
	}
	w.Config, w.ConfigOrder = side(job.ConfigSide)
	w.Source, w.SourceOrder = side(job.SourceSide)
	return w
}

// Hold renews a claim. Call it much more often than Times.Hold; an error says nothing about the
// claim, which stands until TrustedUntil of the last answer.
func (q *Queue) Hold(ctx context.Context, c *Claim) (Held, error) {
	start := time.Now()
	reply, err := q.run(ctx, "hold.lua", string(c.Job.ID), fence(c), q.Times.Hold.Milliseconds()).Int64Slice()
	if err != nil {
		return Held{}, fmt.Errorf("hold job %s: %w", c.Job.ID, err)
	}
	h := Held{Stands: reply[0] == 1, Cancelled: reply[1] == 1}
	if h.Stands {
		h.TrustedUntil = start.Add(time.Duration(reply[2])*time.Millisecond - q.Times.Margin)
	}
	return h, nil
}

// Finish records the result, frees the subject and queues the wish that was parked meanwhile. It
// returns ErrLost when the claim does not stand any more. Safe to repeat.
func (q *Queue) Finish(ctx context.Context, c *Claim, r job.Result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode result of job %s: %w", c.Job.ID, err)
	}
	sort := ""
	if r.Outcome.Done() {
		sort = "1"
	} else if r.Outcome == job.Rejected {
		sort = "2"
	}
	args := []any{string(c.Job.ID), fence(c), string(r.Outcome), b, q.Times.keep(), sort, c.config, c.source, c.force}
	for _, f := range facts(r) {
		args = append(args, f)
	}
	ok, err := q.run(ctx, "finish.lua", args...).Int()
	if err != nil {
		return fmt.Errorf("finish job %s: %w", c.Job.ID, err)
	}
	if ok == 0 {
		return fmt.Errorf("finish job %s as %s: %w", c.Job.ID, r.Outcome, ErrLost)
	}
	return nil
}

// facts are the parts of a result that stand in fields of their own, for eyes and redis-cli.
func facts(r job.Result) []string {
	return []string{
		"detail", r.Detail, "digest", r.Digest, "config_digest", r.ConfigDigest, "source_digest", r.SourceDigest,
		"config_commit", r.ConfigCommit, "source_commit", r.SourceCommit, "image", r.Image, "release", strconv.Itoa(r.Release),
	}
}

// GiveBack says how an attempt ended that has no result.
type GiveBack struct {
	// Failed counts a failed attempt: something passing went wrong. Without it, and without After,
	// a lost attempt is counted: the runner was stopped or ran out of time. Without it and with
	// After nothing is counted: the app's window is closed until then.
	Failed bool
	// After is when the job may be tried again; zero leaves it to the backoff.
	After time.Duration
	// Detail says why, for people.
	Detail string
}

// GiveBack ends an attempt and lets the job wait for the next one. It reports whether there will
// be one: the job is dead when its attempts are spent, superseded when a newer wish was parked,
// cancelled when a person called it off. It returns ErrLost when the claim does not stand.
func (q *Queue) GiveBack(ctx context.Context, c *Claim, g GiveBack) (retrying bool, err error) {
	sort, after := "", g.After.Milliseconds()
	switch {
	case g.Failed && after <= 0:
		sort, after = "failed", -1
	case g.Failed:
		sort = "failed"
	case after <= 0:
		sort = "lost"
	}
	state, err := q.run(ctx, "giveback.lua", string(c.Job.ID), fence(c), sort, c.Most, q.Times.Lost, after,
		c.Backoff.Milliseconds(), q.Times.keep(), g.Detail).Text()
	if err != nil {
		return false, fmt.Errorf("give back job %s: %w", c.Job.ID, err)
	}
	if state == "" {
		return false, fmt.Errorf("give back job %s: %w", c.Job.ID, ErrLost)
	}
	return state == Waiting || state == Delayed, nil
}

// Retry counts a failed attempt of a runner that will try again itself, and keeps the claim. It
// reports false, and counts nothing, when it must not: the attempts are spent, the job was
// cancelled, a newer wish is parked, or the claim does not stand. Then call GiveBack.
func (q *Queue) Retry(ctx context.Context, c *Claim, detail string) (again bool, err error) {
	n, err := q.run(ctx, "retry.lua", string(c.Job.ID), fence(c), c.Most, c.FailedAttempts+1, detail).Int()
	if err != nil {
		return false, fmt.Errorf("retry job %s: %w", c.Job.ID, err)
	}
	if n == 1 {
		c.FailedAttempts++
	}
	return n == 1, nil
}

func fence(c *Claim) string { return strconv.FormatInt(c.Fence, 10) }
