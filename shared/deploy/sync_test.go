package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
	"github.com/gigurra/flycd/shared/source"
)

// desk is a syncer over a real queue.
type desk struct {
	*deploytest.World
	t     *testing.T
	queue *queue.Queue
	clock int64
}

func onBoth(t *testing.T, law func(d *desk)) {
	t.Helper()
	for name, server := range map[string]func(testing.TB) string{"embedded": queuetest.Embedded, "redis": queuetest.Redis} {
		t.Run(name, func(t *testing.T) {
			q, err := queue.Open(server(t), "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = q.Close() })
			law(&desk{World: deploytest.New(t, flysim.Options{}), t: t, queue: q, clock: time.Now().UnixMilli()})
		})
	}
}

// store is the queue as a syncer sees it.
type store interface {
	deploy.Catalog
	deploy.Jobs
	everything
}

type everything interface {
	deploy.Index
	deploy.Sweeper
	memory
}

type memory interface {
	deploy.Links
	deploy.Sights
	deploy.Graves
}

func (d *desk) syncer(s store) *deploy.Syncer {
	return &deploy.Syncer{
		Source: d.Source(), Catalog: s, Links: s, Sights: s, Graves: s, Sweeper: s, Index: s, Jobs: s,
		Log: slog.New(slog.DiscardHandler),
	}
}

// wish is the sync that a push makes.
func (d *desk) wish(r *deploytest.Repo, c source.Change) deploy.Request {
	d.clock++
	return deploy.Request{Job: job.Job{
		ID: job.Push{Kind: job.Sync, Subject: r.URL, Repo: r.URL, Before: c.Before, After: c.After, Time: d.clock}.ID(), Kind: job.Sync,
		Config: job.Config{Repo: r.URL}, Order: job.Order{Time: d.clock, Before: c.Before, After: c.After}, Created: time.Now(),
		Half: job.Half{Side: job.ConfigSide, Repo: r.URL, Ref: "refs/heads/main", Default: true, Commit: c.After},
	}}
}

func (d *desk) sync(req deploy.Request) job.Result {
	d.t.Helper()
	res, err := d.syncer(d.queue).Sync(d.t.Context(), req)
	if err != nil {
		d.t.Fatal(err)
	}
	return res
}

// catalog gives the tree's apps with the digests that the catalog has.
func (d *desk) catalog(r *deploytest.Repo) []string {
	d.t.Helper()
	entries, err := d.queue.Entries(d.t.Context(), job.Config{Repo: r.URL}.ID())
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.App)
	}
	return out
}

// waiting gives the apps that have a job, as often as they have one.
func (d *desk) waiting() []string {
	d.t.Helper()
	records, err := d.queue.Jobs(d.t.Context(), queue.Filter{State: queue.Waiting})
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, r.Job.App)
	}
	slices.Sort(out)
	return out
}

func app(name string) string {
	return fmt.Sprintf("app: %s\norg: personal\nsource: {type: image, image: nginx}\n", name)
}

func TestNewerSyncWins(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		older := d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a"), "b/app.yaml": app("b")}))
		newer := d.wish(config, config.Commit(map[string]string{"b/app.yaml": "", "c/app.yaml": app("c")}))
		// the older one has written its entries when the newer one passes it
		crossing := &crossing{Queue: d.queue, between: func() { d.sync(newer) }}
		res, err := d.syncer(crossing).Sync(d.t.Context(), older)
		if err != nil {
			d.t.Fatal(err)
		}
		if res.Outcome != job.Superseded || len(res.Jobs) > 0 {
			d.t.Errorf("the older sync ended %s with jobs %v, want superseded and none", res.Outcome, res.Jobs)
		}
		if got := d.catalog(config); !slices.Equal(got, []string{"a", "c"}) {
			d.t.Errorf("the catalog has %v, want a and c", got)
		}
		if got := d.waiting(); !slices.Equal(got, []string{"a", "c"}) {
			d.t.Errorf("jobs for %v, want a and c", got)
		}
	})
}

// crossing lets another sync pass before the switch.
type crossing struct {
	*queue.Queue
	between func()
}

func (c *crossing) SwitchGeneration(ctx context.Context, s queue.Switch) (bool, error) {
	c.between()
	return c.Queue.SwitchGeneration(ctx, s)
}

func TestPartialReadShrinksNothing(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a") + "sync: {prune: true}\n", "b/app.yaml": app("b")})))
		for what, text := range map[string]string{"key": app("a") + "nonsense: 1\n", "yaml": "app: [\n"} {
			res := d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": text})))
			if res.Outcome != job.Rejected || !strings.Contains(res.Detail, "a/app.yaml") {
				d.t.Errorf("%s: %s: %s", what, res.Outcome, res.Detail)
			}
			if got := d.catalog(config); !slices.Equal(got, []string{"a", "b"}) {
				d.t.Errorf("%s: the catalog has %v, want a and b", what, got)
			}
		}
		res := d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": ""})))
		if got := d.catalog(config); !slices.Equal(got, []string{"b"}) || len(res.Jobs) != 1 {
			d.t.Errorf("the catalog has %v and %d jobs were pushed, want b and one to destroy a", got, len(res.Jobs))
		}
	})
}

func TestUnreadableTreeChangesNothing(t *testing.T) {
	onBoth(t, func(d *desk) {
		config := d.Repo("config")
		d.sync(d.wish(config, config.Commit(map[string]string{"a/app.yaml": app("a")})))
		_, err := d.syncer(d.queue).Sync(d.t.Context(), d.wish(config, config.Commit(map[string]string{"a/app.yaml": "app: ["})))
		if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "a/app.yaml") {
			d.t.Errorf("got %v, want a rejection that names the file", err)
		}
		if got := d.catalog(config); !slices.Equal(got, []string{"a"}) {
			d.t.Errorf("the catalog has %v, want a", got)
		}
	})
}

func TestAppBelongsToOneTree(t *testing.T) {
	onBoth(t, func(d *desk) {
		mine, theirs := d.Repo("mine"), d.Repo("theirs")
		d.sync(d.wish(mine, mine.Commit(map[string]string{"a/app.yaml": app("a")})))
		res := d.sync(d.wish(theirs, theirs.Commit(map[string]string{"a/app.yaml": app("a"), "b/app.yaml": app("b")})))
		if res.Outcome != job.Rejected || !strings.Contains(res.Detail, "app a belongs to") || len(res.Jobs) != 1 {
			d.t.Errorf("%s with %d jobs: %s", res.Outcome, len(res.Jobs), res.Detail)
		}
		if got := d.waiting(); !slices.Equal(got, []string{"a", "b"}) {
			d.t.Errorf("jobs for %v, want one each for a and b", got)
		}
	})
}
