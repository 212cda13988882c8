package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// installRoots gives the config trees that the flags name, and the repositories that want a webhook. Without flags and
// without a folder named projects there are none, and those that are installed stay.
func (c *cli) installRoots(ctx context.Context, git *source.Client, f installFlags) (roots []job.Config, repos []string, err error) {
	switch {
	case f.repo != "" && f.project != "":
		return nil, nil, usage(errors.New("--repo and --project-path are two ways to name the config repository: give one of them"))
	case f.repo != "":
		root, err := job.ParseConfig(f.repo)
		if err != nil {
			return nil, nil, usage(fmt.Errorf("--repo: %w", err))
		}
		roots = []job.Config{root}
	default:
		if roots, err = c.rootsOfFolder(ctx, git, f.project); err != nil {
			return nil, nil, err
		}
	}
	return roots, c.withRepos(ctx, git, nil, roots), nil
}

// rootsOfFolder reads which repository a folder stands for: its project.yaml says it, or those of the folders in it, as the
// first FlyCD's projects folder had them; else the folder is a checkout.
func (c *cli) rootsOfFolder(ctx context.Context, git *source.Client, dir string) ([]job.Config, error) {
	said := dir != ""
	if !said {
		dir = "projects"
		if _, err := os.Stat(dir); err != nil {
			dir = "."
		}
	}
	dir, err := folderOf(dir)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "project.yaml"))
	if err != nil {
		return nil, usage(fmt.Errorf("--project-path: %w", err))
	}
	var roots []job.Config
	for _, file := range append([]string{filepath.Join(dir, "project.yaml")}, files...) {
		root, ok, err := pointedTo(file)
		if err != nil {
			return nil, err
		}
		if ok {
			roots = append(roots, root)
		}
	}
	if len(roots) > 0 {
		return roots, nil
	}
	return c.checkedOut(ctx, git, dir, said)
}

// pointedTo reads the repository that a project.yaml points to, if it does.
func pointedTo(file string) (job.Config, bool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the person named its folder
	if errors.Is(err, fs.ErrNotExist) {
		return job.Config{}, false, nil
	}
	if err != nil {
		return job.Config{}, false, fmt.Errorf("read %s: %w", file, err)
	}
	var p struct {
		Source struct {
			Type, Repo, Path string
			Ref              struct{ Branch, Tag, Commit, Name string }
		}
	}
	if err := yaml.Unmarshal(text, &p); err != nil {
		return job.Config{}, false, usage(fmt.Errorf("read %s: %w", file, err))
	}
	s := p.Source
	if s.Type != "git" || s.Repo == "" {
		return job.Config{}, false, nil
	}
	text2 := s.Repo
	if ref := s.Ref.Branch + s.Ref.Tag + s.Ref.Commit + s.Ref.Name; ref != "" {
		text2 += "@" + ref
	}
	if s.Path != "" && s.Path != "." {
		text2 += "#" + s.Path
	}
	root, err := job.ParseConfig(text2)
	if err != nil {
		return job.Config{}, false, usage(fmt.Errorf("%s: source: %w", file, err))
	}
	return root, true, nil
}

// checkedOut is the repository that the folder is a checkout of.
func (c *cli) checkedOut(ctx context.Context, git *source.Client, dir string, said bool) ([]job.Config, error) {
	local, err := git.Local(ctx, dir)
	if err != nil {
		return nil, usage(err)
	}
	defer func() { _ = local.Close() }()
	if local.Origin == "" {
		if !said {
			return nil, nil
		}
		return nil, usage(fmt.Errorf("%s: neither does its project.yaml point to a Git repository, nor is it a checkout of one: push it to a forge, and name it with --repo URL", dir))
	}
	root := job.Config{Repo: local.Origin, Path: filepath.ToSlash(local.Path)}
	if root.Path == "." {
		root.Path = ""
	}
	return []job.Config{root}, nil
}

// reposOfRoot lists the tree's repository and those that it names.
func (c *cli) reposOfRoot(ctx context.Context, git *source.Client, root job.Config) ([]string, error) {
	repos := []string{root.Repo}
	at, err := git.Resolve(ctx, root.Repo, manifest.Ref{Name: root.Ref})
	if err != nil {
		return repos, fmt.Errorf("read %s: %w", root.ID(), err)
	}
	tree, err := git.Fetch(ctx, root.Repo, at)
	if err != nil {
		return repos, fmt.Errorf("read %s: %w", root.ID(), err)
	}
	defer func() { _ = tree.Close() }()
	folder, err := deploy.OpenFolder(ctx, git, filepath.Join(tree.Dir, filepath.FromSlash(root.Path)), manifest.Options{Repo: root.Repo, Org: c.cfg.Org})
	if err != nil {
		return repos, fmt.Errorf("read %s: %w", root.ID(), err)
	}
	defer func() { _ = folder.Close() }()
	for _, r := range folder.Repos {
		repos = append(repos, r.Repo)
	}
	return repos, nil
}
