package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// Gone is an app that a tree is about to stop naming.
type Gone struct {
	// Entry is what the tree's current generation says of the app.
	Entry catalog.Entry
	// Commit is the config commit that no longer names it.
	Commit string
	// Renamed is the app that its folder names now, where it names another one.
	Renamed string
}

// Tombstone is what is known of an app that its tree stopped naming. It is no reason to destroy anything by itself:
// the destroy job looks again.
type Tombstone struct {
	App string `json:"app"`
	// Tree is the id of the config tree that named the app last, and Entry what it said of it.
	Tree  string        `json:"tree"`
	Entry catalog.Entry `json:"entry,omitzero"`
	// Commit is the config commit that no longer names the app.
	Commit  string `json:"commit,omitempty"`
	Renamed string `json:"renamed,omitempty"`
	// Since is when the tree stopped naming it, by Redis's clock.
	Since time.Time `json:"since"`
	// Age is how long that was ago when it was looked up, by the same clock.
	Age time.Duration `json:"age"`
	// Job is the newest job that was to destroy the app, where there was one; Outcome is how it ended, empty
	// until then, and Detail why.
	Job     job.ID      `json:"job,omitempty"`
	Outcome job.Outcome `json:"outcome,omitempty"`
	Detail  string      `json:"detail,omitempty"`
	// Gone is when the app was destroyed, or seen not to exist; zero while it stands. Thirty days later it is forgotten.
	Gone time.Time `json:"gone,omitzero"`
}

// Underway reports whether a job is to destroy the app and has not ended.
func (t Tombstone) Underway() bool { return t.Job != "" && t.Outcome == "" && t.Gone.IsZero() }

// MarkGone notes which apps a tree is about to stop naming. Call it before SwitchGeneration, with what the switch will
// drop: a mark counts from the switch on, and nothing is forgotten when the caller dies between the two. Destroy jobs
// that are pushed for the apps are noted by Push, and their ends by Finish. Safe to repeat.
func (q *Queue) MarkGone(ctx context.Context, c job.Config, list []Gone) error {
	for part := range slices.Chunk(list, chunkJobs) {
		args := []any{c.ID()}
		for _, g := range part {
			body, err := json.Marshal(g.Entry)
			if err != nil {
				return fmt.Errorf("encode catalog entry of %s: %w", g.Entry.App, err)
			}
			args = append(args, g.Entry.App, body, g.Commit, g.Renamed)
		}
		if err := q.run(ctx, "gone.lua", args...).Err(); err != nil {
			return fmt.Errorf("mark %d apps of %s as gone: %w", len(part), c.ID(), err)
		}
	}
	return nil
}

// Tombstones lists the apps that a tree stopped naming and that no tree names now, by name: those that stand, and
// those that were destroyed within thirty days.
func (q *Queue) Tombstones(ctx context.Context, configID string) ([]Tombstone, error) {
	reply, err := q.run(ctx, "tombstones.lua", configID).Slice()
	if err != nil {
		return nil, fmt.Errorf("list what %s stopped naming: %w", configID, err)
	}
	var list []Tombstone
	for i := 1; i+1 < len(reply); i += 2 {
		t := tombstone(str(reply[i]), flat(reply[i+1]))
		t.Age = moment(str(reply[0])).Sub(t.Since)
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Tombstone) int { return strings.Compare(a.App, b.App) })
	return list, nil
}

// Tombstone looks one app up, and gives false when no tree stopped naming it, or one names it now.
func (q *Queue) Tombstone(ctx context.Context, app string) (Tombstone, bool, error) {
	tree, err := q.rdb.HGet(ctx, q.key("tombstone", app), "tree").Result()
	if none(err) {
		return Tombstone{}, false, nil
	}
	if err != nil {
		return Tombstone{}, false, fmt.Errorf("look up the tombstone of %s: %w", app, err)
	}
	list, err := q.Tombstones(ctx, tree)
	for _, t := range list {
		if t.App == app {
			return t, true, nil
		}
	}
	return Tombstone{}, false, err
}

// MarkDestroyed notes that an app which its tree stopped naming does not exist any more, where it was not a job that
// destroyed it. It changes nothing for others.
func (q *Queue) MarkDestroyed(ctx context.Context, app string) error {
	if err := q.run(ctx, "destroyed.lua", app).Err(); err != nil {
		return fmt.Errorf("mark %s as destroyed: %w", app, err)
	}
	return nil
}

func tombstone(app string, h map[string]string) Tombstone {
	t := Tombstone{
		App: app, Tree: h["tree"], Commit: h["commit"], Renamed: h["renamed"], Since: moment(h["since"]),
		Job: job.ID(h["job"]), Outcome: job.Outcome(h["outcome"]), Detail: h["detail"], Gone: moment(h["gone"]),
	}
	lenient(h["entry"], &t.Entry)
	return t
}
