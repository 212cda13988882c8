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

// WriteIncludes adds the repositories that a tree includes to a generation: once it is the current one, Routes leads
// pushes of them to the tree. They go with the generation. Safe to repeat.
func (q *Queue) WriteIncludes(ctx context.Context, c job.Config, gen int64, list []catalog.Include) error {
	route, err := json.Marshal(catalog.Route{Config: c, Generation: gen})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(list, chunkJobs) {
		args := []any{c.ID(), gen, route}
		for _, i := range part {
			body, err := json.Marshal(i)
			if err != nil {
				return fmt.Errorf("encode include of %s: %w", c.ID(), err)
			}
			keys := catalog.IncludeKeys(i)
			args = append(args, body, len(keys))
			for _, k := range keys {
				args = append(args, k)
			}
		}
		if err := q.run(ctx, "includes.lua", args...).Err(); err != nil {
			return fmt.Errorf("write includes of %s: %w", c.ID(), err)
		}
	}
	return nil
}

// Includes lists the repositories that a tree's current generation includes, by repository and ref.
func (q *Queue) Includes(ctx context.Context, configID string) ([]catalog.Include, error) {
	generation, err := q.rdb.HGet(ctx, q.key("config", configID), "generation").Result()
	if none(err) {
		return nil, nil
	}
	var list []catalog.Include
	if err == nil {
		list, err = q.includesOf(ctx, configID, generation)
	}
	if err != nil {
		return nil, fmt.Errorf("list includes of %s: %w", configID, err)
	}
	return list, nil
}

func (q *Queue) includesOf(ctx context.Context, configID, n string) ([]catalog.Include, error) {
	bodies, err := q.rdb.SMembers(ctx, q.includes(configID, n)).Result()
	if err != nil {
		return nil, err
	}
	return decodeIncludes(bodies)
}

// decodeIncludes reads and sorts includes.
func decodeIncludes(bodies []string) ([]catalog.Include, error) {
	var list []catalog.Include
	for _, b := range bodies {
		var i catalog.Include
		if err := json.Unmarshal([]byte(b), &i); err != nil {
			return nil, fmt.Errorf("decode include: %w", err)
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b catalog.Include) int {
		return strings.Compare(a.Repo+"@"+a.Ref, b.Repo+"@"+b.Ref)
	})
	return list, nil
}

// dropIncludes deletes the routes of a generation's includes; the list of them goes after it.
func (q *Queue) dropIncludes(ctx context.Context, configID, n string) error {
	list, err := q.includesOf(ctx, configID, n)
	if err != nil || len(list) == 0 {
		return err
	}
	_, err = q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, i := range list {
			for _, k := range catalog.IncludeKeys(i) {
				p.HDel(ctx, q.key("trees", k), n+" "+configID)
			}
		}
		return nil
	})
	return err
}

func (q *Queue) includes(configID, n string) string { return q.key("includes", configID) + ":" + n }
