package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
)

// AppState is what Redis knows of an app, or of a config tree under its id. Losing it loses
// history, never correctness: the truth is Fly's.
type AppState struct {
	App string `json:"app"`
	// Config is the id of the config tree that the app belongs to.
	Config string `json:"config,omitempty"`
	// Active is the job that may change the app now; Pending is the one that comes after it.
	Active      job.ID   `json:"active,omitempty"`
	ActiveKind  job.Kind `json:"active_kind,omitempty"`
	Pending     job.ID   `json:"pending,omitempty"`
	PendingKind job.Kind `json:"pending_kind,omitempty"`
	Fence       int64    `json:"fence,omitempty"`
	// Last is the job that ended last, and LastOutcome how.
	Last        job.ID      `json:"last,omitempty"`
	LastOutcome job.Outcome `json:"last_outcome,omitempty"`
	// Result is the last one that was done; Judged is the last one that was done or rejected.
	Result job.Result `json:"result,omitzero"`
	Judged job.Result `json:"judged,omitzero"`
	// The parts of Result that say what is deployed.
	ConfigCommit string `json:"config_commit,omitempty"`
	SourceCommit string `json:"source_commit,omitempty"`
	Digest       string `json:"digest,omitempty"`
	ConfigDigest string `json:"config_digest,omitempty"`
	SourceDigest string `json:"source_digest,omitempty"`
	Image        string `json:"image,omitempty"`
	Release      int    `json:"release,omitempty"`
	// WantConfigDigest and WantSourceDigest are the digests of the halves that are wished but not
	// deployed yet, where whoever wished them knew.
	WantConfigDigest string `json:"want_config_digest,omitempty"`
	WantSourceDigest string `json:"want_source_digest,omitempty"`
	// ConfigOpen and SourceOpen are true while a half is wished whose digest nobody knew.
	ConfigOpen bool `json:"config_open,omitempty"`
	SourceOpen bool `json:"source_open,omitempty"`
	// Hold is true while auto-sync is off; HoldReason says why. The next done deploy ends it.
	Hold       bool   `json:"hold,omitempty"`
	HoldReason string `json:"hold_reason,omitempty"`
}

func appState(name string, h, desired map[string]string) AppState {
	a := AppState{
		App: name, Config: h["config"], Active: job.ID(h["active"]), ActiveKind: job.Kind(h["active_kind"]),
		Pending: job.ID(h["next"]), PendingKind: job.Kind(h["next_kind"]), Fence: integer(h["fence"]),
		Last: job.ID(h["last"]), LastOutcome: job.Outcome(h["last_outcome"]),
		ConfigCommit: h["config_commit"], SourceCommit: h["source_commit"], Digest: h["digest"],
		ConfigDigest: h["config_digest"], SourceDigest: h["source_digest"], Image: h["image"], Release: int(integer(h["release"])),
		Hold: h["hold"] != "", HoldReason: h["hold"],
	}
	// What cannot be read is as good as not known.
	lenient(h["result"], &a.Result)
	lenient(h["judged"], &a.Judged)
	var config, source job.Half
	lenient(desired["config"], &config)
	lenient(desired["source"], &source)
	a.WantConfigDigest, a.WantSourceDigest = config.Digest, source.Digest
	a.ConfigOpen, a.SourceOpen = config.Repo != "" && config.Digest == "", source.Repo != "" && source.Digest == ""
	return a
}

func lenient[T any](s string, v *T) {
	if s == "" || json.Unmarshal([]byte(s), v) != nil {
		var zero T
		*v = zero
	}
}

// AppState looks an app up, and gives false when nothing is known of it.
func (q *Queue) AppState(ctx context.Context, app string) (AppState, bool, error) {
	m, err := q.AppStates(ctx, []string{app})
	a, ok := m[app]
	return a, ok, err
}

// AppStates looks many apps up, a thousand in a round trip. What is not known is left out.
func (q *Queue) AppStates(ctx context.Context, apps []string) (map[string]AppState, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	states := make(map[string]AppState, len(apps))
	for part := range slices.Chunk(apps, 1000) {
		p := q.rdb.Pipeline()
		hashes, wishes := make([]*redis.MapStringStringCmd, len(part)), make([]*redis.MapStringStringCmd, len(part))
		for i, app := range part {
			hashes[i], wishes[i] = p.HGetAll(ctx, q.key("app", app)), p.HGetAll(ctx, q.key("desired", app))
		}
		if _, err := p.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read state of %d apps: %w", len(part), err)
		}
		for i, app := range part {
			if len(hashes[i].Val()) > 0 {
				states[app] = appState(app, hashes[i].Val(), wishes[i].Val())
			}
		}
	}
	return states, nil
}

// Apps lists the names of all apps that Redis knows of, sorted. It walks the whole server: it is
// for people, not for the hot path.
func (q *Queue) Apps(ctx context.Context) ([]string, error) {
	apps, err := q.named(ctx, "app")
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	return apps, nil
}

// Trees lists the ids of all config trees that Redis knows of, sorted: also of those that were never read, and
// of those that name no app any more. As Apps, it is for people.
func (q *Queue) Trees(ctx context.Context) ([]string, error) {
	trees, err := q.named(ctx, "config")
	if err != nil {
		return nil, fmt.Errorf("list config trees: %w", err)
	}
	// a fan-out has the same kind of record
	return slices.DeleteFunc(trees, func(id string) bool { return strings.HasPrefix(id, "fan-out:") || strings.HasPrefix(id, "pull:") }), nil
}

// named lists the names of the keys of a kind, sorted.
func (q *Queue) named(ctx context.Context, kind string) ([]string, error) {
	prefix := q.key(kind, "")
	var names []string
	for it := q.rdb.Scan(ctx, 0, glob(prefix)+"*", 1000).Iterator(); ; {
		if !it.Next(ctx) {
			slices.Sort(names)
			return slices.Compact(names), it.Err()
		}
		names = append(names, strings.TrimPrefix(it.Val(), prefix))
	}
}

// glob quotes what SCAN would read as a pattern.
func glob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// HoldApp turns auto-sync off for an app until its next done deploy. An empty reason ends it.
func (q *Queue) HoldApp(ctx context.Context, app, reason string) error {
	err := q.check(ctx)
	switch {
	case err != nil:
	case reason == "":
		err = q.rdb.HDel(ctx, q.key("app", app), "hold").Err()
	default:
		err = q.rdb.HSet(ctx, q.key("app", app), "hold", reason).Err()
	}
	if err != nil {
		return fmt.Errorf("hold app %s: %w", app, err)
	}
	return nil
}
