package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
)

// The bounds of one script call. Redis does nothing else while a script runs.
const (
	chunkJobs  = 250
	chunkBytes = 1 << 20
)

// Delivery is what one webhook, sync or person asks for.
type Delivery struct {
	// GUID is the forge's id of the delivery. With an empty one no answer is remembered.
	GUID string
	Jobs []job.Job
	// Ignored says why nothing is done, where nothing is, and for which apps of an image that is followed.
	Ignored string
}

// Pushed is what became of one job of a delivery.
type Pushed struct {
	ID     job.ID   `json:"id"`
	Kind   job.Kind `json:"kind"`
	App    string   `json:"app,omitempty"`
	Config string   `json:"config,omitempty"`
	// State is the job's state after the push: waiting, parked, delayed, superseded, or, for a job that was
	// known, any other.
	State string `json:"state"`
}

// Answer is what the forge is told.
type Answer struct {
	Jobs    []Pushed `json:"jobs"`
	Ignored string   `json:"ignored,omitempty"`
}

// Push makes all jobs of a delivery. A job whose id is known stays as it is. Pushing the same
// delivery again gives the answer that was given, and replay is true.
//
// Jobs go in chunks of at most 250, each atomic. A webhook's jobs are one chunk. The answer is
// written together with the last chunk: so an answer that is remembered means that every job is
// in, and a delivery that broke off between two chunks is completed when it comes again.
func (q *Queue) Push(ctx context.Context, d Delivery) (answer Answer, replay bool, err error) {
	wishes := make([]wish, len(d.Jobs))
	for i, j := range d.Jobs {
		if wishes[i], err = newWish(j); err != nil {
			return Answer{}, false, err
		}
	}
	end, err := answerEnd(d.Ignored)
	if err != nil {
		return Answer{}, false, err
	}
	text := `{"jobs":[`
	for first := true; first || len(wishes) > 0; first = false {
		n := chunk(wishes)
		tail := ""
		if n == len(wishes) {
			tail = end
		}
		if !first {
			text += ","
		}
		replay, text, err = q.pushChunk(ctx, d.GUID, wishes[:n], [2]string{text, tail})
		if err != nil {
			return Answer{}, false, fmt.Errorf("push %d jobs: %w", len(d.Jobs), err)
		}
		if wishes = wishes[n:]; replay {
			break
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return Answer{}, false, fmt.Errorf("decode answer of delivery %s: %w", d.GUID, err)
	}
	return answer, replay, nil
}

// answerEnd is the JSON of an answer after its last job.
func answerEnd(ignored string) (string, error) {
	if ignored == "" {
		return "]}", nil
	}
	why, err := json.Marshal(ignored)
	return `],"ignored":` + string(why) + "}", err
}

// pushChunk pushes the wishes; around is the answer's JSON before the first and after the last of
// them. It returns the answer so far, or the one that was given before.
func (q *Queue) pushChunk(ctx context.Context, guid string, wishes []wish, around [2]string) (replay bool, answer string, err error) {
	args := make([]any, 0, 5+len(wishes)*15)
	args = append(args, guid, q.Times.keep(), q.Times.keep(), around[0], around[1])
	for _, w := range wishes {
		args = append(args, w.id, w.kind, w.subject, w.stream, w.json, w.side, w.half, w.unpinned,
			w.time, w.before, w.after, w.force, w.hand, w.delay, w.answer)
	}
	reply, err := q.run(ctx, "push.lua", args...).Slice()
	if err != nil {
		return false, "", err
	}
	return integer(reply[0]) == 1, str(reply[1]), nil
}

// chunk says how many of the wishes go into the next script call.
func chunk(wishes []wish) int {
	size := 0
	for i, w := range wishes {
		size += len(w.json) + len(w.half) + len(w.unpinned) + len(w.answer) + 200
		if i > 0 && (i >= chunkJobs || size > chunkBytes) {
			return i
		}
	}
	return len(wishes)
}

// Answer gives the answer that a delivery was given, and false for one that is not known.
func (q *Queue) Answer(ctx context.Context, guid string) (Answer, bool, error) {
	if guid == "" {
		return Answer{}, false, nil
	}
	b, err := q.rdb.Get(ctx, q.key("delivery", guid)).Bytes()
	if none(err) {
		return Answer{}, false, nil
	}
	var a Answer
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return Answer{}, false, fmt.Errorf("read answer of delivery %s: %w", guid, err)
	}
	return a, true, nil
}

// wish is a job as push.lua takes it.
type wish struct {
	id, kind, subject, stream, json, side, half, unpinned string
	time                                                  int64
	before, after, force, hand, answer                    string
	// delay is in milliseconds.
	delay int64
}

func newWish(j job.Job) (wish, error) {
	b, err := j.Encode()
	if err != nil {
		return wish{}, err
	}
	w := wish{
		id: string(j.ID), kind: string(j.Kind), subject: subjectKey(j), stream: "jobs", json: string(b),
		time: j.Order.Time, before: j.Order.Before, after: j.Order.After, delay: max(j.DelayMS, 0),
	}
	if j.ByHand() {
		w.hand = "1"
	}
	if j.Low {
		w.stream = "jobs:low"
	}
	if j.Force && j.Kind != job.Plan {
		w.force = "1"
	}
	if err := w.addHalf(j); err != nil {
		return wish{}, err
	}
	return w, w.addAnswer(j)
}

// addHalf adds the half that the job names. A plan writes no wish: it changes nothing.
func (w *wish) addHalf(j job.Job) error {
	if j.Half.Repo == "" || j.Kind == job.Plan {
		return nil
	}
	half := j.Half
	if half.Side != job.ConfigSide && half.Side != job.SourceSide {
		return job.Rejectf("job %s: a half's side is config or source, not %q", j.ID, half.Side)
	}
	b, err := json.Marshal(half)
	if err != nil {
		return err
	}
	half.Commit, half.Digest = "", ""
	u, err := json.Marshal(half)
	w.side, w.half, w.unpinned = string(half.Side), string(b), string(u)
	return err
}

// addAnswer adds the JSON of Pushed up to its state, which only the script knows.
func (w *wish) addAnswer(j job.Job) error {
	p := Pushed{ID: j.ID, Kind: j.Kind, App: j.App}
	switch {
	case j.App != "":
	case j.Kind == job.Plan:
		p.Config = j.Config.ID()
	default:
		p.Config = j.Subject()
	}
	b, err := json.Marshal(p)
	w.answer = strings.TrimSuffix(string(b), `"}`)
	return err
}

// subjectKey is the key, without the prefix, of the hash that says what is active and what waits
// for a job's subject. A plan reads only, so it has a place of its own and stands in nobody's way.
func subjectKey(j job.Job) string {
	switch {
	case j.Kind == job.Plan:
		return "plan:" + j.Subject()
	case j.App != "":
		return "app:" + j.App
	default:
		return "config:" + j.Subject()
	}
}

func none(err error) bool { return err == redis.Nil } //nolint:errorlint // go-redis returns it bare

func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		return ""
	}
}

func integer(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0
		}
		return n
	default:
		return 0
	}
}

// flat reads a hash that a script gave as a flat list.
func flat(v any) map[string]string {
	list, _ := v.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		m[str(list[i])] = str(list[i+1])
	}
	return m
}
