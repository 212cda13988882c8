package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

const (
	maxLine  = 8 << 10
	logBatch = 500
)

// LogLine is one line that a runner said.
type LogLine struct {
	// ID is the line's place; Tail goes on after it.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Append adds lines to a job's log, at most 500 in a round trip. Lines longer than 8 KiB are cut.
// The oldest lines go when there are more than Times.Log. Redact secrets before.
func (q *Queue) Append(ctx context.Context, id job.ID, lines []string) error {
	for part := range slices.Chunk(lines, logBatch) {
		args := []any{string(id), q.Times.Log, q.Times.keep()}
		for _, l := range part {
			if len(l) > maxLine {
				l = strings.ToValidUTF8(l[:maxLine], "") + "…"
			}
			args = append(args, l)
		}
		if err := q.run(ctx, "append.lua", args...).Err(); err != nil {
			return fmt.Errorf("append %d lines to log of %s: %w", len(part), id, err)
		}
	}
	return nil
}

// Tail gives up to n lines of a job's log that come after the line with the given id; an empty id
// starts at the first.
func (q *Queue) Tail(ctx context.Context, id job.ID, after string, n int) ([]LogLine, error) {
	start := "-"
	if after != "" {
		start = "(" + after
	}
	entries, err := q.rdb.XRangeN(ctx, q.key("log", string(id)), start, "+", int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w", id, err)
	}
	lines := make([]LogLine, len(entries))
	for i, e := range entries {
		lines[i] = LogLine{ID: e.ID, Time: entryTime(e.ID), Text: text(e.Values["line"])}
	}
	return lines, nil
}
