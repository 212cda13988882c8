package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

func (c *cli) syncCommand() *cobra.Command {
	var f askFlags
	var force bool
	cmd := &cobra.Command{
		Use: "sync [REPO[@REF][#PATH]|APP]", Short: "Read Git anew: all config trees, one, or one app", GroupID: "queue",
		Long: `Push a sync of every config tree, those of FLYCD_CONFIG_REPOS and those that the queue knows of: each is read at its
newest commit, and deploys what changed. With a repository, only its config trees; with an app, that app alone, with its manifest as
its config tree has it now. It is what to do where a webhook was lost.

As flycd dispatch, it works without REDIS_URL where FLYCD_DISPATCH_URL and FLYCD_DISPATCH_TOKEN are set; all config trees
are those of FLYCD_CONFIG_REPOS then.`,
		Example: `  flycd sync
  flycd sync https://github.com/acme/config --wait
  flycd sync shop-web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.ask(cmd.Context(), f, func(ctx context.Context, q *queue.Queue) ([]dispatcher.Ask, error) {
				list, err := c.toSync(ctx, q, args)
				for i := range list {
					list[i].Force = force
				}
				return list, err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "deploy although nothing changed")
	c.addAskFlags(cmd, &f)
	return cmd
}

// toSync asks for what is named, or for all config trees.
func (c *cli) toSync(ctx context.Context, q *queue.Queue, args []string) (list []dispatcher.Ask, err error) {
	if len(args) == 1 {
		a, err := askOf(args[0])
		a.Trees = true
		return []dispatcher.Ask{a}, err
	}
	trees, err := c.trees(ctx, q)
	if err == nil && len(trees) == 0 {
		err = usage(errors.New("no config tree is known: set FLYCD_CONFIG_REPOS, or name a config repository"))
	}
	return asksOf(trees), err
}

func asksOf(trees []job.Config) []dispatcher.Ask {
	list := make([]dispatcher.Ask, 0, len(trees))
	for _, t := range trees {
		list = append(list, dispatcher.Ask{Repo: t.Repo, Ref: t.Ref, Path: t.Path, Trees: true})
	}
	return list
}

// trees are the config trees that are known, by id: the roots, and those of the queue, which may be nil, that name or named
// an app.
func (c *cli) trees(ctx context.Context, q *queue.Queue) ([]job.Config, error) {
	trees, err := c.roots()
	if err != nil || q == nil {
		return trees, err
	}
	known := map[string]bool{}
	for _, t := range trees {
		known[t.ID()] = true
	}
	ids, err := q.Trees(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if known[id] {
			continue
		}
		tree, ok, err := treeOf(ctx, q, id)
		if err != nil {
			return nil, err
		}
		if ok {
			trees = append(trees, tree)
		}
	}
	slices.SortFunc(trees, func(a, b job.Config) int { return strings.Compare(a.ID(), b.ID()) })
	return trees, nil
}

// treeOf finds the address of a config tree: its apps have it, and those that it named once.
func treeOf(ctx context.Context, q *queue.Queue, id string) (job.Config, bool, error) {
	entries, err := q.Entries(ctx, id)
	if err != nil {
		return job.Config{}, false, err
	}
	if len(entries) > 0 {
		return entries[0].Config, true, nil
	}
	stones, err := q.Tombstones(ctx, id)
	for _, t := range stones {
		if t.Entry.Config.ID() == id {
			return t.Entry.Config, true, nil
		}
	}
	return job.Config{}, false, err
}
