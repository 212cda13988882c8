package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func (c *cli) suspendCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: "suspend APP|TREE", Short: "Let pushes wait: of an app, or of a whole config tree", GroupID: "queue",
		Long: `Hold back what pushes, syncs and sweeps want of an app, or of a config tree (REPO[@REF][#PATH], as flycd status shows
it) and all its apps, until flycd resume. Nothing is lost: the newest of what waits goes on then. What runs goes on, and what a
person asks for (flycd dispatch, sync, deploy) passes. A second time, the last reason counts.`,
		Example: `  flycd suspend shop-web --why "the migration is watched by hand"
  flycd suspend https://github.com/acme/config`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error {
				subject, err := c.subject(cmd.Context(), q, args[0])
				if err != nil {
					return err
				}
				if err := q.Suspend(cmd.Context(), subject, queue.Suspension{By: person(), Why: why}); err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.out, "%s is suspended: flycd resume %s ends that\n", subject, args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "the reason, for those who wonder")
	return cmd
}

func (c *cli) resumeCommand() *cobra.Command {
	var next string
	cmd := &cobra.Command{
		Use: "resume APP|TREE", Short: "Let the pushes of a suspended app or config tree go on", GroupID: "queue",
		Long: `End what flycd suspend began. The newest of what waited for it is launched next: by the dispatcher at once, where
FLYCD_NEXT_URL and FLYCD_NEXT_TOKEN are set. For what is not suspended, nothing is changed.`,
		Example: "  flycd resume shop-web",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withQueue(cmd.Context(), func(q *queue.Queue) error { return c.resume(cmd.Context(), q, args[0], next) })
		},
	}
	cmd.Flags().StringVar(&next, "next", c.cfg.NextURL, "the dispatcher's /next, which launches at once")
	return cmd
}

func (c *cli) resume(ctx context.Context, q *queue.Queue, what, next string) error {
	subject, err := subjectOf(what)
	if err != nil {
		return err
	}
	suspended, err := q.Suspensions(ctx)
	if err != nil {
		return err
	}
	if _, ok := suspended[subject]; !ok {
		_, err := fmt.Fprintf(c.out, "%s is not suspended\n", subject)
		return err
	}
	woken, err := q.Resume(ctx, subject)
	if err != nil {
		return err
	}
	if len(woken) > 0 {
		if err := c.askNext(ctx, next); err != nil {
			fmt.Fprintln(c.err, "warning:", err)
		}
	}
	if _, err = fmt.Fprintf(c.out, "%s goes on, with %s that waited\n", subject, counted(len(woken), "job")); err != nil {
		return err
	}
	for _, id := range woken {
		fmt.Fprintf(c.out, "%s\n", id)
	}
	return nil
}

// subjectOf reads an app's name, or a config tree and gives its id.
func subjectOf(what string) (string, error) {
	if !strings.ContainsAny(what, "/:") {
		return what, nil
	}
	tree, err := job.ParseConfig(what)
	if err != nil {
		return "", usage(err)
	}
	return tree.ID(), nil
}

// subject is subjectOf, for what is known: a misspelt name would hold back nothing, and nobody would notice.
func (c *cli) subject(ctx context.Context, q *queue.Queue, what string) (string, error) {
	subject, err := subjectOf(what)
	if err != nil {
		return "", err
	}
	if !strings.Contains(subject, "/") {
		_, named, err := q.Entry(ctx, subject)
		if err != nil || named {
			return subject, err
		}
		_, there, err := q.AppState(ctx, subject)
		if err != nil || there {
			return subject, err
		}
		return "", usage(fmt.Errorf("no app %s is known: flycd status lists them", subject))
	}
	ids, err := c.treeIDs(ctx, q)
	if err != nil || slices.Contains(ids, subject) {
		return subject, err
	}
	if len(ids) == 0 {
		return "", usage(errors.New("no config tree is known yet: flycd sync REPO reads one"))
	}
	return "", usage(fmt.Errorf("no config tree %s is known, but %s", subject, strings.Join(ids, ", ")))
}

// treeIDs are those of all trees that the queue knows of, and of the roots, sorted.
func (c *cli) treeIDs(ctx context.Context, q *queue.Queue) ([]string, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	ids, err := q.Trees(ctx)
	for _, r := range roots {
		ids = append(ids, r.ID())
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}
