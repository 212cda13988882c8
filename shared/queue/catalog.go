package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// Conflict is an entry that was not written, as another tree has the app.
type Conflict struct {
	App string
	// Config is the id of the tree that has it.
	Config string
}

// Routes gives what a push concerns: config trees first, then apps, of current generations only.
// The time depends on the number of matches, not of apps. more is true when there are more apps
// than limit; a limit of zero gives all.
func (q *Queue) Routes(ctx context.Context, p catalog.Push, limit int) (routes []catalog.Route, more bool, err error) {
	args := []any{limit}
	for _, k := range catalog.Keys(p) {
		args = append(args, k)
	}
	reply, err := q.run(ctx, "routes.lua", args...).Slice()
	if err != nil {
		return nil, false, fmt.Errorf("look up routes of %s at %s: %w", p.Repo, p.Ref, err)
	}
	routes = make([]catalog.Route, 0, len(reply)-1)
	for _, v := range reply[1:] {
		var r catalog.Route
		if err := json.Unmarshal([]byte(str(v)), &r); err != nil {
			return nil, false, fmt.Errorf("decode route of %s: %w", p.Repo, err)
		}
		routes = append(routes, r)
	}
	return routes, integer(reply[0]) == 1, nil
}

// Entry looks an app up in the current generation of its tree, and gives false when no tree holds
// it.
func (q *Queue) Entry(ctx context.Context, app string) (catalog.Entry, bool, error) {
	s, err := q.run(ctx, "entry.lua", app).Text()
	if err != nil {
		return catalog.Entry{}, false, fmt.Errorf("look up %s: %w", app, err)
	}
	if s == "" {
		return catalog.Entry{}, false, nil
	}
	var e catalog.Entry
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return catalog.Entry{}, false, fmt.Errorf("decode catalog entry of %s: %w", app, err)
	}
	return e, true, nil
}

// Entries lists the entries of a tree's current generation, by app.
func (q *Queue) Entries(ctx context.Context, configID string) ([]catalog.Entry, error) {
	generation, err := q.rdb.HGet(ctx, q.key("config", configID), "generation").Result()
	if none(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read config tree %s: %w", configID, err)
	}
	var list []catalog.Entry
	err = q.scan(ctx, q.generation(configID, generation), func(entries []catalog.Entry) error {
		list = append(list, entries...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list entries of %s: %w", configID, err)
	}
	slices.SortFunc(list, func(a, b catalog.Entry) int { return strings.Compare(a.App, b.App) })
	return slices.CompactFunc(list, func(a, b catalog.Entry) bool { return a.App == b.App }), nil
}

// scan walks a hash of entries in bounded steps.
func (q *Queue) scan(ctx context.Context, key string, do func([]catalog.Entry) error) error {
	for cursor := uint64(0); ; {
		fields, next, err := q.rdb.HScan(ctx, key, cursor, "", 500).Result()
		if err != nil {
			return err
		}
		var entries []catalog.Entry
		for i := 1; i < len(fields); i += 2 {
			var e catalog.Entry
			if err := json.Unmarshal([]byte(fields[i]), &e); err != nil {
				return fmt.Errorf("decode entry of %s: %w", fields[i-1], err)
			}
			entries = append(entries, e)
		}
		if err := do(entries); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (q *Queue) generation(configID, n string) string {
	return q.key("catalog", configID) + ":" + n
}

// ConfigState is where a config tree stands.
type ConfigState struct {
	ID string `json:"id"`
	// Generation is zero until the tree was read.
	Generation int64     `json:"generation,omitempty"`
	Commit     string    `json:"commit,omitempty"`
	Order      job.Order `json:"order,omitzero"`
	// State has the tree's active and pending sync, and its last results.
	State AppState `json:"state"`
}

// Config looks a config tree up, and gives false when nothing is known of it.
func (q *Queue) Config(ctx context.Context, configID string) (ConfigState, bool, error) {
	p := q.rdb.Pipeline()
	hash, desired := p.HGetAll(ctx, q.key("config", configID)), p.HGetAll(ctx, q.key("desired", configID))
	if _, err := p.Exec(ctx); err != nil {
		return ConfigState{}, false, fmt.Errorf("read config tree %s: %w", configID, err)
	}
	h := hash.Val()
	generation, _ := strconv.ParseInt(h["generation"], 10, 64)
	return ConfigState{
		ID: configID, Generation: generation, Commit: h["commit"],
		Order: job.Order{Time: integer(h["order_time"]), Before: h["order_before"], After: h["order_after"]},
		State: appState("", h, desired.Val()),
	}, len(h) > 0, nil
}
