package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// Suspension says who holds an app or a config tree back, and why.
type Suspension struct {
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
	// Since is Redis's time. Suspend does not read it.
	Since time.Time `json:"since,omitzero"`
}

// Suspend holds back, until Resume, what no person asked for (job.Job.ByHand): of an app its deploys and its destroy,
// of a config tree its syncs and the jobs of its apps. Such jobs wait, and the newest one takes the others' place as
// ever, so that nothing is lost. What is active already goes on; plans go on too. Safe to repeat: the last reason
// counts. subject is an app's name or a tree's id.
func (q *Queue) Suspend(ctx context.Context, subject string, s Suspension) error {
	s.Since = time.Time{}
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := q.run(ctx, "suspend.lua", subject, body).Err(); err != nil {
		return fmt.Errorf("suspend %s: %w", subject, err)
	}
	return nil
}

// Resume ends a suspension, and gives the jobs that had waited for that and now wait for a machine, or behind the
// job that is active. It changes nothing where there is no suspension. Safe to repeat; what a call that broke
// off left behind goes on within a day, or with the next call.
func (q *Queue) Resume(ctx context.Context, subject string) (woken []job.ID, err error) {
	for more := true; more; {
		reply, err := q.run(ctx, "resume.lua", subject, chunkJobs).Slice()
		if err != nil {
			return woken, fmt.Errorf("resume %s: %w", subject, err)
		}
		for _, id := range reply[1:] {
			woken = append(woken, job.ID(str(id)))
		}
		more = integer(reply[0]) == 1
	}
	return woken, nil
}

// Suspensions lists what is suspended, by app or tree id.
func (q *Queue) Suspensions(ctx context.Context) (map[string]Suspension, error) {
	fields, err := q.rdb.HGetAll(ctx, q.prefix+"suspended").Result()
	if err != nil {
		return nil, fmt.Errorf("list suspensions: %w", err)
	}
	list := make(map[string]Suspension, len(fields))
	for subject, text := range fields {
		since, body, _ := strings.Cut(text, " ")
		var s Suspension
		lenient(body, &s)
		s.Since = moment(since)
		list[subject] = s
	}
	return list, nil
}
