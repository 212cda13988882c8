package queue

import "time"

// HoldTTL is how long a claim stands after its last renewal, unless Times says otherwise.
const HoldTTL = 60 * time.Second

// Times are the deadlines and limits of the moves. They are measured by Redis's own clock.
type Times struct {
	// Start is how long a machine may take from its launch to its claim.
	Start time.Duration
	// Run is how long an attempt may take from its launch to its end.
	Run time.Duration
	// Hold is how long a claim stands after its last renewal; Margin is taken off what the holder
	// may trust.
	Hold, Margin time.Duration
	// Backoff is the wait after the first failed attempt; each further one waits four times as
	// long. Lost attempts wait as often as they were lost before.
	Backoff time.Duration
	// Unlaunch is the wait after a launch that made nothing.
	Unlaunch time.Duration
	// Keep is how long an ended job, its log and a delivery's answer stay. Forges redeliver for
	// three days.
	Keep time.Duration
	// Needed is how long a deploy waits for an app that it depends on, that was never deployed and that has
	// no job.
	Needed time.Duration
	// Held is how long a job that a suspension holds back stays unseen by due passes. Resume ends it at once.
	Held time.Duration
	// Generation is how long an unfinished generation of a config tree claims its apps.
	Generation time.Duration
	// Turn is how long a turn at building an image stands after its last renewal; it is renewed three times as
	// often, and who waits asks thirty times as often.
	Turn time.Duration
	// Failed and Lost are the most attempts of either sort.
	Failed, Lost int
	// Log is the number of lines that a job's log keeps, about.
	Log int
	// Outbox bounds what waits to be told to forges and people.
	Outbox OutboxBounds
}

// DefaultTimes are the values for production.
func DefaultTimes() Times {
	return Times{
		Start:      2 * time.Minute,
		Run:        time.Hour,
		Hold:       HoldTTL,
		Margin:     5 * time.Second,
		Backoff:    10 * time.Second,
		Unlaunch:   2 * time.Second,
		Keep:       96 * time.Hour,
		Needed:     10 * time.Minute,
		Held:       24 * time.Hour,
		Generation: time.Hour,
		Turn:       30 * time.Second,
		Failed:     3,
		Lost:       10,
		Log:        10000,
		Outbox:     DefaultOutboxBounds(),
	}
}

func (t Times) keep() int64 { return max(int64(t.Keep/time.Second), 1) }
