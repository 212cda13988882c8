package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// reserve is what is kept of an attempt's time for finishing the step at hand and recording.
	reserve = 30 * time.Second
	// recordWait bounds how long a result is tried to be recorded after the attempt.
	recordWait = 2 * time.Minute
	recordTry  = 10 * time.Second
	claimWait  = 30 * time.Second
	// writeTime is what a write to Fly may take at most.
	writeTime  = 10 * time.Second
	retryPause = time.Second
	// laterSlack keeps a job from coming back a moment too early, by another machine's clock.
	laterSlack = time.Second
)

// Runner does one job, the one that its machine was made for.
type Runner struct {
	Queue *queue.Queue
	// Deployer is how the job is done; the runner fills in its Lease, BuildLog and Log.
	Deployer deploy.Deployer
	// Next is asked for the next launch at the end.
	Next Next
	// Job, Attempt and Machine are what the machine was made for, and as what.
	Job     job.ID
	Attempt int
	Machine string
	// Deadline is when to be done, where the launch said so; the queue's own holds as well.
	Deadline time.Time
	// Secrets are values that never reach the log.
	Secrets []string
	// Rejected is why no attempt can help, where that was found out before the claim: it is recorded, and nothing is
	// done.
	Rejected error
	// Out takes the log as it comes, beside the job's log in Redis.
	Out io.Writer
	// Level is the least level that is logged.
	Level slog.Level
}

// Run claims the job, does it, records what became of it, and asks for the next launch. It returns
// nil when the job ended, whatever its outcome, when it was given back, and when the claim was refused or
// lost; an error only when what became of the job could not be recorded. When ctx ends, the step at hand is
// finished and the job is given back.
func (r *Runner) Run(ctx context.Context) error {
	claim, err := r.claim(ctx)
	if errors.Is(err, queue.ErrRefused) {
		slog.New(slog.NewTextHandler(r.Out, nil)).InfoContext(ctx, "refused", "job", string(r.Job), "why", err.Error())
		// The refusal of a cancelled job lets its successor wait, which nobody else may be awake for.
		r.ask(ctx)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s", manifest.NewRedactor(r.Secrets...).Redact(err.Error()))
	}
	book := &logbook{to: r.Queue, id: r.Job, redact: manifest.NewRedactor(r.Secrets...), out: r.Out}
	book.open(ctx)
	log := slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: r.Level, ReplaceAttr: withoutTime}))
	err = r.work(ctx, claim, book, log)
	if err != nil {
		log.ErrorContext(ctx, "not recorded", "error", err.Error())
	}
	book.close(ctx)
	r.ask(ctx)
	return err
}

// withoutTime drops the time: each line of the log has one of its own in Redis.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// claim tries for a while: Redis may be out of reach for a moment when a machine boots.
func (r *Runner) claim(ctx context.Context) (*queue.Claim, error) {
	end := time.Now().Add(claimWait)
	for {
		c, err := r.Queue.Claim(ctx, r.Job, r.Attempt, r.Machine)
		if err == nil || errors.Is(err, queue.ErrRefused) || errors.Is(err, queue.ErrSchema) || errors.Is(err, job.ErrRejected) {
			return c, err
		}
		if ctx.Err() != nil || time.Now().After(end) || !pause(ctx, retryPause) {
			return nil, err
		}
	}
}

// work holds the claim while the job is done, once or several times, and records how it ended.
func (r *Runner) work(ctx context.Context, claim *queue.Claim, book *logbook, log *slog.Logger) error {
	deadline := claim.Deadline
	if !r.Deadline.IsZero() && r.Deadline.Before(deadline) {
		deadline = r.Deadline
	}
	timed, stop := context.WithDeadlineCause(ctx, deadline.Add(-min(reserve, time.Until(deadline)/4)), errDeadline)
	defer stop()
	attempt, end := context.WithCancelCause(timed)
	defer end(nil)
	h := &hold{queue: r.Queue, claim: claim, every: r.Queue.Times.Hold / 6, end: end, log: log}
	h.open(ctx)
	defer h.close()
	log.InfoContext(ctx, "claimed", "kind", string(claim.Job.Kind), "subject", claim.Job.Subject(), "attempt", claim.Attempt, "machine", claim.Machine)

	d := r.Deployer
	d.Lease, d.BuildLog, d.Log = h, book, log
	d.WriteTime = min(writeTime, r.Queue.Times.Hold/4)
	if d.Sync != nil {
		syncer := *d.Sync
		syncer.Log = log
		d.Sync = &syncer
	}
	for {
		res, err := r.deploy(attempt, &d, claim)
		if err == nil {
			return r.finish(ctx, claim, res, log)
		}
		if later := (deploy.Later{}); errors.As(err, &later) {
			return r.later(ctx, claim, later, log)
		}
		log.WarnContext(ctx, "attempt ended", "error", err.Error())
		again, err := r.failed(attempt, claim, err, deadline)
		if !again {
			return err
		}
	}
}

// deploy does the job once. A panic is a failure of this attempt and of no other job.
func (r *Runner) deploy(ctx context.Context, d *deploy.Deployer, claim *queue.Claim) (res job.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.ErrorContext(ctx, "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("FlyCD itself failed, which is a bug of FlyCD's: %v", p)
		}
	}()
	if r.Rejected != nil {
		return job.Result{Outcome: job.Rejected, Detail: r.Rejected.Error(), Refused: true}, nil
	}
	return d.Deploy(ctx, RequestOf(claim))
}

// RequestOf gives what a deployer needs to know of a claim.
func RequestOf(c *queue.Claim) deploy.Request {
	return deploy.Request{
		Job: c.Job, Config: c.Wish.Config, Source: c.Wish.Source, ConfigOrder: c.Wish.ConfigOrder, SourceOrder: c.Wish.SourceOrder,
		Force: c.Wish.Force, Entry: c.Entry, Last: c.App.Result, Fence: c.Fence, Final: c.FailedAttempts+1 >= c.Most,
	}
}

// finish records the result.
func (r *Runner) finish(ctx context.Context, claim *queue.Claim, res job.Result, log *slog.Logger) error {
	redact := manifest.NewRedactor(r.Secrets...)
	res.Detail = shortened(redact.Told(res.Detail))
	for _, list := range [][]string{res.Changes, res.Warnings} {
		for i := range list {
			list[i] = redact.Told(list[i])
		}
	}
	for _, line := range res.Changes {
		log.InfoContext(ctx, "changed", "what", line)
	}
	for _, line := range res.Warnings {
		log.WarnContext(ctx, "warning", "what", line)
	}
	log.InfoContext(ctx, "ended", "outcome", string(res.Outcome), "release", res.Release, "detail", res.Detail)
	return r.record(ctx, func(ctx context.Context) error { return r.Queue.Finish(ctx, claim, res) })
}

// later gives back a job that is to be done at another time: nothing is counted.
func (r *Runner) later(ctx context.Context, claim *queue.Claim, l deploy.Later, log *slog.Logger) error {
	why := manifest.NewRedactor(r.Secrets...).Told(l.Why)
	log.InfoContext(ctx, "later", "until", l.Until.UTC().Format(time.RFC3339), "why", why)
	back := queue.GiveBack{After: max(time.Until(l.Until), 0) + laterSlack, Detail: why}
	return r.record(ctx, func(ctx context.Context) error {
		_, err := r.Queue.GiveBack(ctx, claim, back)
		return err
	})
}

// failed decides what follows an attempt without a result: nothing where the claim is gone; another
// one on this machine where the wait for it fits the deadline; else the job is given back.
func (r *Runner) failed(ctx context.Context, claim *queue.Claim, cause error, deadline time.Time) (again bool, err error) {
	redacted := manifest.NewRedactor(r.Secrets...).Told(cause.Error())
	if errors.Is(context.Cause(ctx), errLost) {
		return false, nil
	}
	back := queue.GiveBack{Detail: redacted}
	if ctx.Err() == nil {
		back.Failed = true
		wait := claim.Wait()
		if time.Now().Add(wait).Add(2 * reserve).Before(deadline) {
			again, err := r.Queue.Retry(ctx, claim, redacted)
			if err == nil && again && pause(ctx, wait) {
				return true, nil
			}
			// stopped while it waited: the failure is counted already
			if again && ctx.Err() != nil {
				back = queue.GiveBack{Detail: context.Cause(ctx).Error()}
			}
		}
	}
	if errors.Is(context.Cause(ctx), errLost) {
		return false, nil
	}
	return false, r.record(context.WithoutCancel(ctx), func(ctx context.Context) error {
		_, err := r.Queue.GiveBack(ctx, claim, back)
		return err
	})
}

// record tries until it worked or time is up. A claim that is lost has nothing to record.
func (r *Runner) record(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWait)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, recordTry)
		err := write(try)
		done()
		if err == nil || errors.Is(err, queue.ErrLost) {
			return nil
		}
		if !pause(ctx, retryPause) {
			return fmt.Errorf("record what became of job %s: %w", r.Job, err)
		}
	}
}

// ask asks for the next launch. One who was told to stop does not wait.
func (r *Runner) ask(ctx context.Context) {
	next := r.Next
	if ctx.Err() != nil {
		next.Wait = 3 * time.Second
	}
	if err := next.Ask(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(r.Out, manifest.NewRedactor(append(r.Secrets, next.Token)...).Redact(err.Error()))
	}
}

// pause waits, and reports false when ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
