package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// leftover is an app that its config tree stopped naming, and that was not destroyed.
type leftover struct {
	queue.Tombstone
	// Goes says when it is destroyed, or why it is not, Due from when on.
	Goes string    `json:"goes"`
	Due  time.Time `json:"due,omitzero"`
	// open is true where the next sync destroys it.
	open bool
}

func (c *cli) pruneCommand() *cobra.Command {
	var f askFlags
	var dryRun bool
	var confirm string
	cmd := &cobra.Command{
		Use: "prune", Short: "Destroy apps that no config tree names any more", GroupID: "queue",
		Long: `List the apps that their config tree stopped naming: since when, and when each goes, or why it stays. Then push a
sync of every tree that has some of which sync.prune says that they go; such a sync destroys them after their grace, so many at
a time as sync.prune_max lets it. --dry-run lists them alone.

No sync destroys an app that holds data (volumes, databases, certificates, dedicated addresses). --confirm APP does, and also
where sync.prune is not set: it pushes a destroy of that one app, at once. Even then nothing is destroyed that a tree names, or that
FlyCD did not make or adopt.`,
		Example: `  flycd prune --dry-run
  flycd prune --confirm shop-old --wait`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				if confirm != "" {
					return c.pruneOne(cmd.Context(), q, confirm, pruneFlags{f, dryRun})
				}
				return c.prune(cmd.Context(), q, pruneFlags{f, dryRun})
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list them")
	cmd.Flags().StringVar(&confirm, "confirm", "", "destroy this app, with the data that it holds")
	c.addAskFlags(cmd, &f)
	return cmd
}

type pruneFlags struct {
	askFlags
	dryRun bool
}

func (c *cli) prune(ctx context.Context, q *queue.Queue, f pruneFlags) error {
	list, err := c.leftovers(ctx, q)
	if err != nil {
		return err
	}
	var trees []job.Config
	for _, l := range list {
		same := func(t job.Config) bool { return t.ID() == l.Tree }
		if l.open && l.Entry.Config.ID() == l.Tree && !slices.ContainsFunc(trees, same) {
			trees = append(trees, l.Entry.Config)
		}
	}
	if f.dryRun || len(trees) == 0 {
		if f.output == "json" {
			return c.printJSON(list)
		}
		return printLeftovers(c.out, list)
	}
	if err := printLeftovers(c.err, list); err != nil {
		return err
	}
	jobs, err := c.wished(ctx, q, asksOf(trees))
	if err != nil {
		return err
	}
	return c.pushByHand(ctx, q, jobs, f.askFlags)
}

// pruneOne destroys one app with whatever it holds.
func (c *cli) pruneOne(ctx context.Context, q *queue.Queue, app string, f pruneFlags) error {
	t, found, err := q.Tombstone(ctx, app)
	if err != nil {
		return err
	}
	if !found {
		e, named, err := q.Entry(ctx, app)
		switch {
		case err != nil:
			return err
		case named:
			return usage(fmt.Errorf("app %s is named by the config tree %s: remove it there first", app, e.Config.ID()))
		}
		return usage(fmt.Errorf("no config tree stopped naming an app %s: FlyCD destroys no other; `fly apps destroy %s` does", app, app))
	}
	if !t.Gone.IsZero() {
		_, err := fmt.Fprintf(c.out, "%s is gone since %s\n", app, when(t.Gone))
		return err
	}
	if f.dryRun {
		_, err := fmt.Fprintf(c.out, "%s would be destroyed, with all that it holds\n", app)
		return err
	}
	j := byHand(job.Job{Kind: job.Destroy, App: app, Org: t.Entry.Org, Config: t.Entry.Config, Confirm: true}, time.Now())
	return c.pushByHand(ctx, q, []job.Job{j}, f.askFlags)
}

// leftovers are the apps that their trees stopped naming, those first that are so for longest.
func (c *cli) leftovers(ctx context.Context, q *queue.Queue) ([]leftover, error) {
	ids, err := c.treeIDs(ctx, q)
	if err != nil {
		return nil, err
	}
	suspended, err := q.Suspensions(ctx)
	if err != nil {
		return nil, err
	}
	list := []leftover{} // none is [], not null
	for _, id := range ids {
		stones, err := q.Tombstones(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, t := range stones {
			if t.Gone.IsZero() {
				list = append(list, fateOf(t, suspended))
			}
		}
	}
	slices.SortFunc(list, func(a, b leftover) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.App, b.App)) })
	return list, nil
}

// fateOf says when an app goes, as a sync of its tree decides that.
func fateOf(t queue.Tombstone, suspended map[string]queue.Suspension) leftover {
	l := leftover{Tombstone: t}
	left := t.Entry.Pruning.Grace() - t.Age
	wait := "now"
	if left > 0 {
		wait = "in " + left.Round(time.Second).String()
	}
	_, app := suspended[t.App]
	_, tree := suspended[t.Tree]
	switch {
	case t.Underway() && app:
		l.Goes = "job " + string(t.Job) + " waits: the app is suspended"
	case t.Underway() && tree:
		l.Goes = "job " + string(t.Job) + " waits: its config tree is suspended"
	case t.Underway():
		l.Goes, l.Due = wait+", by job "+string(t.Job), t.Since.Add(t.Entry.Pruning.Grace())
	case !t.Entry.Prune:
		l.Goes = "it stays: sync.prune is not set"
	case t.Outcome == job.Rejected:
		l.Goes = "it stays: " + cmp.Or(manifest.Still(t.Detail), "that was refused, see flycd job "+string(t.Job))
	default:
		l.open, l.Due = true, t.Since.Add(t.Entry.Pruning.Grace())
		l.Goes = "with the next sync, " + wait
		if t.Outcome != "" {
			l.Goes += " (the last try ended " + string(t.Outcome) + ")"
		}
	}
	return l
}

func printLeftovers(w io.Writer, list []leftover) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no app is left that its config tree stopped naming")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NO LONGER NAMED\tTREE\tFOR\tGOES")
	for _, l := range list {
		goes, _, _ := strings.Cut(l.Goes, "\n")
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", l.App, l.Tree, age(time.Now().Add(-l.Age), time.Now()), goes)
	}
	return tw.Flush()
}
