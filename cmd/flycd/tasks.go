package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// tasks are the apps that a command was asked to deploy or plan, and the folders that they were read
// from.
type tasks struct {
	list     []task
	folders  []*deploy.Folder
	problems manifest.Problems
}

// task is one app to deploy or plan.
type task struct {
	app string
	// needs are the apps that it depends on.
	needs []string
	req   deploy.Request
}

// tasks reads the manifests at the paths, once, and makes a job for each app that is wanted. Mistakes
// in a manifest stop nothing but its own app.
func (c *cli) tasks(ctx context.Context, git *source.Client, paths []string, f deployFlags) (_ *tasks, err error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	if _, err := path.Match(f.only, ""); err != nil {
		return nil, usage(fmt.Errorf("--only %q: expected a glob such as 'shop-*'", f.only))
	}
	t := &tasks{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	seen := map[string]string{}
	for _, p := range paths {
		folder, err := c.openFolder(ctx, git, p, f.lenient)
		if err != nil {
			return nil, err
		}
		t.folders, t.problems = append(t.folders, folder), append(t.problems, fromHere(folder.Problems, folder.Dir)...)
		for _, e := range folder.Apps {
			if ok, _ := path.Match(f.only, e.App.Name); !ok {
				continue
			}
			if other, ok := seen[e.App.Name]; ok {
				return nil, usage(fmt.Errorf("app %s is in %s and in %s: name it once", e.App.Name, other, p))
			}
			t.list = append(t.list, task{e.App.Name, e.App.DependsOn, request(e, folder, f)})
		}
		for _, one := range t.list {
			seen[one.app] = p
		}
	}
	if len(t.list) == 0 && len(t.problems) == 0 {
		return nil, usage(fmt.Errorf("--only %q matches no app", f.only))
	}
	return t, nil
}

// openFolder reads the manifests at a path and says what is to be warned of.
func (c *cli) openFolder(ctx context.Context, git *source.Client, p string, lenient bool) (*deploy.Folder, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p, err)
	}
	folder, err := deploy.OpenFolder(ctx, git, abs, manifest.Options{Lenient: lenient, Org: c.cfg.Org})
	if errors.Is(err, job.ErrRejected) {
		return nil, usage(err)
	}
	if err != nil {
		return nil, err
	}
	if len(folder.Apps) == 0 && len(folder.Problems) == 0 {
		return nil, errors.Join(noApp(p), folder.Close())
	}
	c.warn(folder.Tree, folder.Dir)
	return folder, nil
}

// request is a person's job for a folder of this machine. It wishes nothing: no runner ever
// takes it.
func request(e manifest.Entry, folder *deploy.Folder, f deployFlags) deploy.Request {
	j := byHand(job.Job{Kind: job.Deploy, App: e.App.Name, Org: e.App.Org, Config: job.Config{Repo: folder.Path()}, Force: f.force, Confirm: f.confirm}, time.Now())
	j.Reason = job.ByDeploy
	return deploy.Request{Job: j, Folder: folder, Force: f.force, Final: true}
}

func (t *tasks) names() []string {
	names := make([]string, len(t.list))
	for i, one := range t.list {
		names[i] = one.app
	}
	return names
}

// Close lets go of the folders.
func (t *tasks) Close() error {
	var errs []error
	for _, f := range t.folders {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// tell prints what is wrong with manifests, a line each, and gives the exit code for it.
func (c *cli) tell(problems manifest.Problems) error {
	for _, p := range problems {
		fmt.Fprintln(c.err, "flycd:", p)
	}
	if len(problems) == 0 {
		return nil
	}
	return exitError{code: codeOf(problems)}
}

// codeOf is the exit code for what is wrong with manifests: a policy's no is not bad input.
func codeOf(problems manifest.Problems) int {
	if slices.ContainsFunc(problems, func(p manifest.Problem) bool { return p.Refused }) {
		return exitRefused
	}
	return exitUsage
}
