package forge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

const (
	// eventsAtOnce and lettersAtOnce (bytes) bound what one step of the feed asks of Redis.
	eventsAtOnce  = 200
	lettersAtOnce = 512 << 10
	// maxAge is how old an event may be that is still news: who sets the forge up today is not told of last week.
	maxAge = 24 * time.Hour
	// usualLease is how long nobody else gets a letter that is being sent.
	usualLease = time.Minute
	// endTime bounds the word that a letter arrived, or did not, once the caller is cancelled.
	endTime = 5 * time.Second
	// deniedWait is how long a letter waits for a person to mend the rights.
	deniedWait = 30 * time.Minute
)

// Events is what state changes are read from, and letters appended to at once with the cursor. *queue.Queue is one.
type Events interface {
	Events(ctx context.Context, after string, n int) ([]queue.Event, error)
	FeedCursor(ctx context.Context) (string, error)
	AppendLetters(ctx context.Context, f queue.Feed) (bool, error)
}

// Outbox gives letters to send. *queue.Queue is one.
type Outbox interface {
	TakeLetter(ctx context.Context, lease time.Duration) (queue.Letter, bool, error)
	LetterDone(ctx context.Context, l queue.Letter) error
	LetterFailed(ctx context.Context, l queue.Letter, f queue.LetterFailure) error
}

// Jobs looks up what events are about. *queue.Queue is one.
type Jobs interface {
	Job(ctx context.Context, id job.ID) (queue.Record, error)
	Entry(ctx context.Context, app string) (catalog.Entry, bool, error)
	Tombstones(ctx context.Context, tree string) ([]queue.Tombstone, error)
}

// Post tells forges and people what becomes of jobs. Several may work at once on one Redis.
type Post struct {
	Events Events
	Outbox Outbox
	Jobs   Jobs
	// Forge is told of the jobs of its repositories; nil, or without credentials, of none.
	Forge *Client
	// Destinations are those that notices may name.
	Destinations map[string]Destination
	// Notify are rules that hold for every app and every config tree, beside the apps' own.
	Notify []catalog.Notify
	// Link is an address where more is told of a job: {job} and {app} in it stand for the job's id and the app. Empty
	// links to the app.
	Link string
	// Allow are private addresses that notices may go to.
	Allow []netip.AddrPort
	// Lease is how long a sender that died keeps a letter from the others; zero is a minute. Sending may take less than
	// half of it, so that what an earlier sender began is over before the next one looks for it.
	Lease time.Duration
	// Log gets a line for what did not arrive; nil: none.
	Log *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	web *http.Client
}

// Report counts what one Deliver did.
type Report struct {
	// Events were read, and Letters written of them.
	Events, Letters int
	// Sent letters arrived, Failed ones wait for another try or were given up.
	Sent, Failed int
}

func (p *Post) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// idle tells whether there is nobody to tell anything.
func (p *Post) idle() bool { return !p.Forge.Ready() && len(p.Destinations) == 0 }

// Deliver words what happened since the last time, and sends what is due, for as long as the budget; the letter that is
// under way then may take half a minute more, unless ctx ends. An error is Redis's: what a forge or a destination
// does wrong is in the report, the log and the outbox alone. Call it one at a time; safe to repeat, and to kill.
func (p *Post) Deliver(ctx context.Context, budget time.Duration) (Report, error) {
	var rep Report
	if p.idle() {
		return rep, nil
	}
	until := time.Now().Add(budget)
	// What was worded before is sent although what is new cannot be read.
	return rep, errors.Join(p.feed(ctx, until, &rep), p.send(ctx, until, &rep))
}

// feed makes letters of events, a few hundred at a time.
func (p *Post) feed(ctx context.Context, until time.Time, rep *Report) error {
	for {
		after, err := p.Events.FeedCursor(ctx)
		if err != nil {
			return err
		}
		events, err := p.Events.Events(ctx, after, eventsAtOnce)
		if err != nil || len(events) == 0 {
			return err
		}
		f := queue.Feed{After: after}
		w, size, read := newReader(p.Jobs), 0, 0
		for _, ev := range events {
			letters, err := p.words(ctx, w, ev)
			if err != nil {
				return err
			}
			f.Letters, f.Upto = append(f.Letters, letters...), ev.ID
			read++
			for _, l := range letters {
				size += len(l.Body)
			}
			if size > lettersAtOnce {
				break
			}
		}
		ok, err := p.Events.AppendLetters(ctx, f)
		if err != nil {
			return err
		}
		if ok {
			rep.Events, rep.Letters = rep.Events+read, rep.Letters+len(f.Letters)
		}
		if time.Now().After(until) || ok && read < eventsAtOnce && read == len(events) {
			return nil
		}
	}
}

// send sends letters until none is due.
func (p *Post) send(ctx context.Context, until time.Time, rep *Report) error {
	lease := cmp.Or(p.Lease, usualLease)
	for time.Now().Before(until) {
		l, ok, err := p.Outbox.TakeLetter(ctx, lease)
		if err != nil || !ok {
			return err
		}
		sendCtx, cancel := context.WithDeadlineCause(ctx, l.Until.Add(-lease*3/5), errors.New("it took too long"))
		failed := p.sendOne(sendCtx, l)
		cancel()
		if err := p.note(ctx, l, failed); err != nil && !errors.Is(err, queue.ErrLost) {
			return err
		}
		if failed == nil {
			rep.Sent++
		} else {
			rep.Failed++
		}
	}
	return nil
}

// note says how the sending of a letter ended, also for a caller who is cancelled.
func (p *Post) note(ctx context.Context, l queue.Letter, failed error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if failed == nil {
		return p.Outbox.LetterDone(ctx, l)
	}
	f := judgeFailure(failed)
	if p.Log != nil {
		p.Log.WarnContext(ctx, "letter failed", "channel", l.Channel, "letter", l.ID, "tries", l.Tries+1, "final", f.Final, "error", f.Why)
	}
	return p.Outbox.LetterFailed(ctx, l, f)
}

// judgeFailure says when it may help to try again, and whether the letter may have arrived.
func judgeFailure(err error) queue.LetterFailure {
	f := queue.LetterFailure{Why: oneLine(err.Error(), 400), Final: errors.Is(err, job.ErrRejected)}
	var failure *Failure
	if errors.As(err, &failure) {
		f.After = failure.After
	}
	if errors.Is(err, ErrDenied) {
		f.After = max(f.After, deniedWait)
	}
	code := status(err)
	f.Unsure = !f.Final && !errors.Is(err, ErrDenied) && (code == 0 || code >= 500)
	return f
}

// sendOne sends a letter, after a look whether it is there where an earlier try may have brought it.
func (p *Post) sendOne(ctx context.Context, l queue.Letter) error {
	var body letter
	if err := json.Unmarshal(l.Body, &body); err != nil {
		return job.Rejectf("read letter: %w", err)
	}
	if body.Notice == nil && !p.Forge.Ready() {
		return fmt.Errorf("%w: no credentials of the forge are set", ErrDenied)
	}
	switch {
	case body.Status != nil:
		return p.sendStatus(ctx, body, l.Unsure)
	case body.Deployment != nil:
		return p.Forge.Deployment(ctx, body.Repo, *body.Deployment, l.Unsure || l.Tries > 0)
	case body.Comment != nil:
		return p.Forge.Comment(ctx, body.Repo, body.Pull, *body.Comment)
	case body.Notice != nil:
		return p.sendNotice(ctx, body)
	default:
		return job.Rejectf("read letter: it is of a kind that this FlyCD does not know")
	}
}

func (p *Post) sendStatus(ctx context.Context, l letter, unsure bool) error {
	if unsure || l.Settled {
		last, ok, err := p.Forge.LastStatus(ctx, l.Repo, l.Commit, l.Status.Context)
		if err != nil {
			return err
		}
		if ok && last.State == l.Status.State && (l.Settled || last.Description == l.Status.Description) {
			return nil
		}
	}
	return p.Forge.Status(ctx, l.Repo, l.Commit, *l.Status)
}

func (p *Post) sendNotice(ctx context.Context, l letter) error {
	d, ok := p.Destinations[l.To]
	if !ok {
		return job.Rejectf("notify %s: FLYCD_NOTIFY names no such destination", l.To)
	}
	if p.web == nil {
		p.web = guarded(p.Allow)
	}
	if err := d.post(ctx, p.web, *l.Notice); err != nil {
		return fmt.Errorf("notify %s: %w", l.To, err)
	}
	return nil
}
