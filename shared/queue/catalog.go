package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

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

// BeginGeneration opens a new generation of a tree, which readers ignore until SwitchGeneration.
// It makes the tree's own route, so that pushes to a tree whose first sync is rejected are seen.
func (q *Queue) BeginGeneration(ctx context.Context, c job.Config) (gen int64, err error) {
	route, err := json.Marshal(catalog.Route{Config: c})
	if err != nil {
		return 0, err
	}
	args := []any{c.ID(), route}
	for _, k := range catalog.ConfigKeys(c) {
		args = append(args, k)
	}
	gen, err = q.run(ctx, "begin.lua", args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("begin generation of %s: %w", c.ID(), err)
	}
	return gen, nil
}

// WriteEntries adds entries and their routes to a generation, at most 1 MB in a script. Entries
// whose app another tree has are left out and returned. Safe to repeat.
func (q *Queue) WriteEntries(ctx context.Context, c job.Config, gen int64, entries []catalog.Entry) (conflicts []Conflict, err error) {
	head := []any{c.ID(), gen, q.Times.Generation.Milliseconds()}
	args, size := head, 0
	flush := func() error {
		if len(args) == len(head) {
			return nil
		}
		reply, err := q.run(ctx, "write.lua", args...).StringSlice()
		if err != nil {
			return fmt.Errorf("write entries of %s: %w", c.ID(), err)
		}
		for i := 0; i+1 < len(reply); i += 2 {
			conflicts = append(conflicts, Conflict{App: reply[i], Config: reply[i+1]})
		}
		args, size = slices.Clone(head), 0
		return nil
	}
	for _, e := range entries {
		e.Config, e.Generation = c, gen
		part, n, err := entryArgs(e)
		if err != nil {
			return nil, err
		}
		if size > 0 && (size+n > chunkBytes || len(args) > 4*chunkJobs) {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		args, size = append(args, part...), size+n
	}
	return conflicts, flush()
}

// entryArgs gives an entry as write.lua takes it, and its size in bytes.
func entryArgs(e catalog.Entry) (args []any, size int, err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, 0, fmt.Errorf("encode catalog entry of %s: %w", e.App, err)
	}
	route, err := json.Marshal(catalog.RouteOf(e))
	if err != nil {
		return nil, 0, fmt.Errorf("encode route of %s: %w", e.App, err)
	}
	keys := catalog.EntryKeys(e)
	args = []any{e.App, body, len(keys)}
	size = len(e.App) + len(body)
	for _, k := range keys {
		args = append(args, k, route)
		size += len(k) + len(route)
	}
	return args, size, nil
}

// SwitchGeneration makes a generation the current one, in one step, if its order is not older than
// the current one's; switched is false otherwise. Safe to repeat.
func (q *Queue) SwitchGeneration(ctx context.Context, s Switch) (switched bool, err error) {
	n, err := q.run(ctx, "switch.lua", s.Config.ID(), s.Generation, s.Commit, s.Order.Time, s.Order.Before, s.Order.After).Int()
	if err != nil {
		return false, fmt.Errorf("switch generation of %s: %w", s.Config.ID(), err)
	}
	return n == 1, nil
}

// Switch says which generation is to be the current one of a tree.
type Switch struct {
	Config     job.Config
	Generation int64
	// Commit is the config commit that the generation was read at.
	Commit string
	Order  job.Order
}

// DropGenerations deletes what generations other than the current one left behind: older ones,
// and newer ones that were given up. Safe to repeat, and to break off.
func (q *Queue) DropGenerations(ctx context.Context, c job.Config) error {
	id := c.ID()
	stale, err := q.stale(ctx, id)
	if err != nil {
		return fmt.Errorf("list generations of %s: %w", id, err)
	}
	for _, n := range stale {
		if err := q.dropGeneration(ctx, id, n); err != nil {
			return fmt.Errorf("drop generation %s of %s: %w", n, id, err)
		}
	}
	return nil
}

func (q *Queue) stale(ctx context.Context, id string) ([]string, error) {
	p := q.rdb.Pipeline()
	current, begun, now := p.HGet(ctx, q.key("config", id), "generation"), p.HGetAll(ctx, q.key("catalog", id)), p.Time(ctx)
	if _, err := p.Exec(ctx); err != nil && !none(err) {
		return nil, err
	}
	cur := integer(current.Val())
	var stale []string
	for n, at := range begun.Val() {
		gen := integer(n)
		if gen < cur || (gen > cur && now.Val().Sub(moment(at)) > q.Times.Generation) {
			stale = append(stale, n)
		}
	}
	slices.Sort(stale)
	return stale, nil
}

// dropGeneration deletes routes before the entries that lead to them.
func (q *Queue) dropGeneration(ctx context.Context, id, n string) error {
	key := q.generation(id, n)
	err := q.scan(ctx, key, func(entries []catalog.Entry) error {
		_, err := q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range entries {
				for _, k := range catalog.EntryKeys(e) {
					p.HDel(ctx, q.key("repo", k), n+" "+e.App+" "+id)
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	_, err = q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Unlink(ctx, key)
		p.HDel(ctx, q.key("catalog", id), n)
		return nil
	})
	return err
}

// DropConfig forgets a tree that is not there any more: its routes, its entries and its claims on
// apps. Jobs and app states stay.
func (q *Queue) DropConfig(ctx context.Context, c job.Config) error {
	id := c.ID()
	generations, err := q.rdb.HKeys(ctx, q.key("catalog", id)).Result()
	if err != nil {
		return fmt.Errorf("list generations of %s: %w", id, err)
	}
	_, err = q.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range catalog.ConfigKeys(c) {
			p.HDel(ctx, q.key("trees", k), id)
		}
		p.HDel(ctx, q.key("config", id), "generation", "commit", "order_time", "order_before", "order_after")
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget config tree %s: %w", id, err)
	}
	for _, n := range generations {
		if err := q.dropGeneration(ctx, id, n); err != nil {
			return fmt.Errorf("drop generation %s of %s: %w", n, id, err)
		}
	}
	return nil
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
