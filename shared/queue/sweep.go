package queue

import (
	"context"
	"fmt"
	"time"
)

// sightings are forgotten after a day without a pass.
const sightingTTL = 24 * time.Hour

// Suspect remembers what a sweep finds odd, and gives those of the ids that an earlier pass, at
// least minAge ago, found odd too: only on them may anything be done. What is not among the ids
// any more is forgotten. Kinds ("machine", "job") are apart.
func (q *Queue) Suspect(ctx context.Context, kind string, ids []string, minAge time.Duration) (confirmed []string, err error) {
	args := []any{kind, minAge.Milliseconds(), int64(sightingTTL / time.Second)}
	for _, id := range ids {
		args = append(args, id)
	}
	confirmed, err = q.run(ctx, "suspect.lua", args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("remember %d suspects of kind %s: %w", len(ids), kind, err)
	}
	return confirmed, nil
}

// Audit lists what breaks the rules of the layout, as of one instant: a sentence for each. It
// walks every job, so it is for tests, and for people who doubt.
func (q *Queue) Audit(ctx context.Context) (broken []string, err error) {
	for _, script := range []string{"audit.lua", "outbox_audit.lua"} {
		found, err := q.run(ctx, script, glob(q.prefix)).StringSlice()
		if err != nil {
			return nil, fmt.Errorf("audit redis: %w", err)
		}
		broken = append(broken, found...)
	}
	return broken, nil
}
