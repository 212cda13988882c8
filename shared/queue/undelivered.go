package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Undelivered is a letter that was given up.
type Undelivered struct {
	// ID is its place in the stream, and Time when it was given up.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Letter has its body only where that is short.
	Letter Letter `json:"letter"`
	Why    string `json:"why"`
}

// Undelivered lists the newest n letters that were given up, newest first, of the last thousand; total counts all that
// ever were.
func (q *Queue) Undelivered(ctx context.Context, n int) (list []Undelivered, total int64, err error) {
	p := q.rdb.Pipeline()
	entries, count := p.XRevRangeN(ctx, q.prefix+"undelivered", "+", "-", int64(n)), p.HGet(ctx, q.prefix+"feed", "undelivered")
	if _, err := p.Exec(ctx); err != nil && !none(err) {
		return nil, 0, fmt.Errorf("list undelivered letters: %w", err)
	}
	for _, e := range entries.Val() {
		u := Undelivered{ID: e.ID, Time: entryTime(e.ID), Why: text(e.Values["why"]), Letter: Letter{
			ID: text(e.Values["letter"]), Channel: text(e.Values["channel"]), Tries: int(integer(e.Values["tries"])),
			Created: moment(text(e.Values["created"])),
		}}
		if body := text(e.Values["body"]); body != "" {
			u.Letter.Body = json.RawMessage(body)
		}
		list = append(list, u)
	}
	return list, integer(count.Val()), nil
}
