package deploy

import (
	"context"
	"log/slog"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/source"
)

// Syncer turns a config tree into catalog entries and jobs. It is safe for concurrent use.
type Syncer struct {
	Source *source.Client
	// Catalog, Links, Sights, Graves, Sweeper, Index and Jobs are the queue's.
	Catalog Catalog
	Links   Links
	Sights  Sights
	Graves  Graves
	Sweeper Sweeper
	Index   Index
	Jobs    Jobs
	// Manifest says how manifests are read; its Repos is the syncer's own. Its Org is the deployers' too: what policies
	// allow an app that names none.
	Manifest manifest.Options
	// Registry is the host of Fly's registry, where apps have their images; empty means registry.fly.io.
	Registry string
	// Log may be nil.
	Log *slog.Logger
}

// Catalog takes what a sync found. Each call may be repeated.
type Catalog interface {
	// BeginGeneration gives the number of a new generation of the tree.
	BeginGeneration(ctx context.Context, tree job.Config) (int64, error)
	// WriteEntries writes entries that nobody reads before the switch. It leaves out apps that
	// another tree has, and names them.
	WriteEntries(ctx context.Context, tree job.Config, gen int64, entries []catalog.Entry) ([]queue.Conflict, error)
	// SwitchGeneration makes a generation the current one, unless a newer sync has been there.
	SwitchGeneration(ctx context.Context, s queue.Switch) (bool, error)
}

// Links leads pushes of other repositories to the trees that include them. Each call may be repeated.
type Links interface {
	// WriteIncludes adds what a tree includes to a generation that nobody reads before the switch.
	WriteIncludes(ctx context.Context, tree job.Config, gen int64, list []catalog.Include) error
	// Includes gives what the current generation includes.
	Includes(ctx context.Context, treeID string) ([]catalog.Include, error)
}

// Sights remember what trees looked like. Each call may be repeated.
type Sights interface {
	// Saw notes what the tree was when a sync of it was done to its end; Seen gives that back, with the generation that
	// it belongs to.
	Saw(ctx context.Context, s queue.Switch, sight string) (bool, error)
	Seen(ctx context.Context, treeID string) (string, int64, error)
	// Config says at which commit and order the tree stands.
	Config(ctx context.Context, treeID string) (queue.ConfigState, bool, error)
}

// Graves remembers apps that their trees stopped naming.
type Graves interface {
	MarkGone(ctx context.Context, tree job.Config, list []queue.Gone) error
	// Tombstones gives those that no tree names now.
	Tombstones(ctx context.Context, treeID string) ([]queue.Tombstone, error)
}

// Sweeper tidies up after syncs.
type Sweeper interface {
	// DropGenerations deletes what generations other than the current one have left.
	DropGenerations(ctx context.Context, tree job.Config) error
}

// Index reads the current generations of the catalog.
type Index interface {
	Entry(ctx context.Context, app string) (catalog.Entry, bool, error)
	Entries(ctx context.Context, configID string) ([]catalog.Entry, error)
	Routes(ctx context.Context, p catalog.Push, limit int) ([]catalog.Route, bool, error)
}

// Jobs pushes jobs and says what apps are, and are wished to be.
type Jobs interface {
	Push(ctx context.Context, d queue.Delivery) (queue.Answer, bool, error)
	AppStates(ctx context.Context, apps []string) (map[string]queue.AppState, error)
}
