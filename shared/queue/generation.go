package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

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
	routes, err := routesTo(e)
	if err != nil {
		return nil, 0, fmt.Errorf("encode route of %s: %w", e.App, err)
	}
	needs := strings.Join(e.DependsOn, " ")
	args = []any{e.App, body, needs, len(routes)}
	size = len(e.App) + len(body) + len(needs)
	for _, r := range routes {
		args = append(args, r.key, r.json)
		size += len(r.key) + len(r.json)
	}
	return args, size, nil
}

// route is a route to an app: its key without the prefix, and what stands there.
type route struct {
	key  string
	json []byte
}

// routesTo gives the routes that lead to an entry: from the refs of its source, and from its image.
func routesTo(e catalog.Entry) (routes []route, err error) {
	body, err := json.Marshal(catalog.RouteOf(e))
	if err != nil {
		return nil, err
	}
	for _, k := range catalog.EntryKeys(e) {
		routes = append(routes, route{"repo:" + k, body})
	}
	k := catalog.ImageKey(e)
	if k == "" {
		return routes, nil
	}
	body, err = json.Marshal(catalog.ImageRouteOf(e))
	return append(routes, route{"image:" + k, body}), err
}

// SwitchGeneration makes a generation the current one, in one step, if its order is not older than
// the current one's, and if the tree was not claimed by somebody else meanwhile; switched is false
// otherwise. Safe to repeat.
func (q *Queue) SwitchGeneration(ctx context.Context, s Switch) (switched bool, err error) {
	n, err := q.run(ctx, "switch.lua", s.Config.ID(), s.Generation, s.Commit, s.Order.Time, s.Order.Before, s.Order.After, s.Fence).Int()
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
	// Fence is that of the claim under which the generation was read; zero for one that needed no claim.
	Fence int64
}

// DropGenerations deletes what generations other than the current one left behind: older ones,
// and newer ones that were given up. Safe to repeat, and to break off.
func (q *Queue) DropGenerations(ctx context.Context, c job.Config) error {
	if err := q.check(ctx); err != nil {
		return err
	}
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
				routes, err := routesTo(e)
				if err != nil {
					return err
				}
				for _, r := range routes {
					p.HDel(ctx, q.prefix+r.key, n+" "+e.App+" "+id)
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := q.dropIncludes(ctx, id, n); err != nil {
		return err
	}
	_, err = q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Unlink(ctx, key, q.key("needs", id)+":"+n, q.includes(id, n))
		p.HDel(ctx, q.key("catalog", id), n)
		return nil
	})
	return err
}
