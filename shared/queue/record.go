package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
)

// The states of a job that has not ended. An ended job's state is its outcome.
const (
	Waiting   = "waiting"
	Parked    = "parked"
	Delayed   = "delayed"
	Launching = "launching"
	Claimed   = "claimed"
)

// Record is all that Redis knows of a job.
type Record struct {
	Job   job.Job `json:"job"`
	State string  `json:"state"`
	// Attempt is the number of the latest attempt; FailedAttempts and Lost count by sort.
	Attempt        int `json:"attempt,omitempty"`
	FailedAttempts int `json:"failed_attempts,omitempty"`
	Lost           int `json:"lost,omitempty"`
	// Machine has, or had, the latest claim; Entry is the job's place in its stream.
	Machine string `json:"machine,omitempty"`
	Entry   string `json:"entry,omitempty"`
	Fence   int64  `json:"fence,omitempty"`
	// Detail says why the latest attempt ended as it did.
	Detail       string `json:"detail,omitempty"`
	SupersededBy job.ID `json:"superseded_by,omitempty"`
	// WaitsFor is the app that the job's own app depends on and that has to be deployed well before; also
	// where the job ended because it was not.
	WaitsFor string `json:"waits_for,omitempty"`
	// Suspended is the app or the config tree whose suspension holds the job back.
	Suspended string `json:"suspended,omitempty"`
	// Cancel is true when a person called an active job off.
	Cancel bool `json:"cancel,omitempty"`
	// Result is zero until the job ended.
	Result job.Result `json:"result,omitzero"`
	// Times are Redis's; a move that was not made has the zero time. Due is when a delayed job
	// waits again, Deadline when the attempt must be done.
	Queued   time.Time `json:"queued,omitzero"`
	Launched time.Time `json:"launched,omitzero"`
	Claimed  time.Time `json:"claimed,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Due      time.Time `json:"due,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
}

// Active reports whether the job has, or is getting, a machine.
func (r Record) Active() bool { return r.State == Launching || r.State == Claimed }

// Over reports whether the job has ended, whatever its outcome.
func (r Record) Over() bool {
	switch r.State {
	case Waiting, Parked, Delayed, Launching, Claimed:
		return false
	default:
		return true
	}
}

// Filter narrows a list of jobs. Zero fields let everything through.
type Filter struct {
	App, State string
	// Limit is 50 when it is zero.
	Limit int
}

// Job looks one job up. It returns ErrUnknown when there is none.
func (q *Queue) Job(ctx context.Context, id job.ID) (Record, error) {
	list, err := q.records(ctx, []string{string(id)})
	if err != nil {
		return Record{}, err
	}
	if len(list) == 0 {
		return Record{}, fmt.Errorf("job %s: %w", id, ErrUnknown)
	}
	return list[0], nil
}

// records reads jobs in the order of their ids, and leaves out what is not there or unreadable.
func (q *Queue) records(ctx context.Context, ids []string) ([]Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	_, err := q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.HGetAll(ctx, q.key("job", id))
		}
		return nil
	})
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("read %d jobs: %w", len(ids), err)
	}
	var list []Record
	for _, cmd := range cmds {
		if r, ok := record(cmd.Val()); ok {
			list = append(list, r)
		}
	}
	return list, nil
}

func record(h map[string]string) (Record, bool) {
	j, err := job.Decode([]byte(h["job"]))
	if err != nil || h["state"] == "" {
		return Record{}, false
	}
	r := Record{
		Job: j, State: h["state"], Attempt: int(integer(h["attempt"])), FailedAttempts: int(integer(h["failed"])),
		Lost: int(integer(h["lost"])), Machine: h["machine"], Entry: h["entry"], Fence: integer(h["fence"]),
		Detail: h["detail"], SupersededBy: job.ID(h["superseded_by"]), Cancel: h["cancel"] != "", WaitsFor: h["waits"],
		Suspended: h["suspended"],
		Queued:    moment(h["queued"]), Launched: moment(h["launched"]), Claimed: moment(h["claimed"]),
		Ended: moment(h["ended"]), Due: moment(h["due"]), Deadline: moment(h["deadline"]),
	}
	if h["result"] != "" && json.Unmarshal([]byte(h["result"]), &r.Result) != nil {
		r.Result = job.Result{}
	}
	if r.Over() && r.Result.Outcome == "" {
		r.Result.Outcome, r.Result.Detail, r.Result.Ended = job.Outcome(r.State), r.Detail, r.Ended
	}
	return r, true
}

func moment(ms string) time.Time {
	if n := integer(ms); n > 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

const eventsRead = 10000

// Jobs lists jobs, newest first: those that have not ended, and those of the last ten thousand
// state changes. An older job is still found by its id.
func (q *Queue) Jobs(ctx context.Context, f Filter) ([]Record, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	ids, err := q.recent(ctx, f)
	if err != nil {
		return nil, err
	}
	var list []Record
	for len(ids) > 0 && len(list) < f.Limit {
		n := min(len(ids), max(f.Limit, 200))
		records, err := q.records(ctx, ids[:n])
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if (f.App == "" || r.Job.App == f.App) && (f.State == "" || r.State == f.State) {
				list = append(list, r)
			}
		}
		ids = ids[n:]
	}
	slices.SortStableFunc(list, func(a, b Record) int { return b.Queued.Compare(a.Queued) })
	return list[:min(len(list), f.Limit)], nil
}

// recent gives the ids of the jobs that the last events, the streams and the zsets name.
func (q *Queue) recent(ctx context.Context, f Filter) ([]string, error) {
	p := q.rdb.Pipeline()
	events := p.XRevRangeN(ctx, q.prefix+"events", "+", "-", eventsRead)
	streams := []*redis.XMessageSliceCmd{
		p.XRange(ctx, q.prefix+"jobs", "-", "+"), p.XRange(ctx, q.prefix+"jobs:low", "-", "+"),
	}
	delayed := p.ZRange(ctx, q.prefix+"delayed", 0, -1)
	if _, err := p.Exec(ctx); err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	var ids []string
	seen := map[string]bool{}
	add := func(id string) {
		if id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, e := range events.Val() {
		subject := text(e.Values["subject"])
		if f.App == "" || strings.HasSuffix(subject, ":"+f.App) {
			add(text(e.Values["job"]))
		}
	}
	for _, s := range streams {
		for _, e := range s.Val() {
			add(text(e.Values["job"]))
		}
	}
	for _, id := range delayed.Val() {
		add(id)
	}
	return ids, nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// Active lists the jobs that have, or are getting, a machine.
func (q *Queue) Active(ctx context.Context) ([]Record, error) {
	ids, err := q.rdb.ZRange(ctx, q.prefix+"active", 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list active jobs: %w", err)
	}
	return q.records(ctx, ids)
}

// Cancel calls a job off and gives the state that it is in then. A job that waits ends at once; an
// active one is told at its next Hold; an ended one stays as it is. It returns ErrUnknown when
// there is none.
func (q *Queue) Cancel(ctx context.Context, id job.ID) (state string, err error) {
	state, err = q.run(ctx, "cancel.lua", string(id), q.Times.keep()).Text()
	if err != nil {
		return "", fmt.Errorf("cancel job %s: %w", id, err)
	}
	if state == "" {
		return "", fmt.Errorf("cancel job %s: %w", id, ErrUnknown)
	}
	return state, nil
}

// Dead is an entry of the dead stream: poison, or a job whose attempts are spent.
type Dead struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Job is empty for an entry that named none.
	Job     job.ID `json:"job,omitempty"`
	Subject string `json:"subject,omitempty"`
	Why     string `json:"why"`
}

// Dead lists the newest n entries of the dead stream, newest first.
func (q *Queue) Dead(ctx context.Context, n int) ([]Dead, error) {
	entries, err := q.rdb.XRevRangeN(ctx, q.prefix+"dead", "+", "-", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("list dead jobs: %w", err)
	}
	list := make([]Dead, len(entries))
	for i, e := range entries {
		list[i] = Dead{
			ID: e.ID, Time: entryTime(e.ID), Job: job.ID(text(e.Values["job"])),
			Subject: text(e.Values["subject"]), Why: text(e.Values["why"]),
		}
	}
	return list, nil
}

func entryTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	return moment(ms)
}
