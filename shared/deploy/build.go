package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/source"
)

// ingredients are all that an image is made from, but for the values of secrets: those change what a step can
// fetch, not what it is to make.
type ingredients struct {
	Recipe, Platform               string
	Source                         string
	Dockerfile, Ignorefile, Target string
	Args, Labels, SSH              map[string]string
	Secrets                        []string
	Network, Backend               string
	Provenance                     bool
	Compression                    string
	Level                          *int
	Builder                        string
	Buildpacks                     []string
	// Inline is the Dockerfile that takes the place of the source's; where there is no source, it is the source.
	Inline string `json:",omitempty"`
	// Merged are the files of merge_cfg by name.
	Merged map[string]string
}

// buildDigest hashes all that an image is made from. It names no app, so that apps which are built from
// one tree may share the image.
func (w *work) buildDigest() (string, error) {
	b := w.buildSection()
	in := ingredients{
		Recipe: image.Recipe, Platform: "linux/amd64", Source: w.marks.digests.Source,
		Dockerfile: b.Dockerfile, Ignorefile: b.Ignorefile, Target: b.Target, Args: b.Args, Labels: b.Labels,
		SSH: b.SSH, Secrets: b.Secrets, Network: b.Network, Backend: b.Backend, Provenance: b.Provenance, Compression: b.Compression,
		Level: b.CompressionLevel, Builder: b.Builder, Buildpacks: b.Buildpacks, Merged: map[string]string{},
	}
	if w.code != nil {
		in.Inline = w.entry.App.Source.Inline
	}
	merged, err := mergedFiles(w.entry)
	if err != nil {
		return "", err
	}
	for _, name := range merged {
		if in.Merged[name], err = mergedDigest(w.entry.FS, path.Join(w.entry.Dir, name)); err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
	}
	text, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("digest build of %s: %w", w.entry.App.Name, err)
	}
	return digest("build 2", string(text)), nil
}

// build makes the build's folder and hands it to the builder.
func (w *work) build(ctx context.Context, req image.Request) (image.Reference, error) {
	if err := w.fill(ctx); err != nil {
		return image.Reference{}, err
	}
	app := w.entry.App
	config, err := w.trees.of(w.entry)
	if err != nil {
		return image.Reference{}, err
	}
	folder, err := w.Source.Context(ctx, source.ContextSpec{
		Source: w.code, Path: w.where, Config: config, ConfigPath: w.entry.Dir, Merge: app.MergeCfg, Inline: app.Source.Inline,
	})
	if err != nil {
		return image.Reference{}, fmt.Errorf("make folder to build %s: %w", app.Name, err)
	}
	defer func() { w.discard(ctx, folder.Close()) }()
	req.Dir = folder.Dir
	if req.Buildpacks.Builder == "" {
		if req.Dockerfile, err = w.dockerfile(folder.Dir); err != nil {
			return image.Reference{}, err
		}
	}
	if req.Secrets, req.SSH, err = w.buildSecrets(ctx); err != nil {
		return image.Reference{}, err
	}
	if !req.NoPush {
		if err := w.ensureApp(ctx); err != nil {
			return image.Reference{}, err
		}
	}
	w.log.InfoContext(ctx, "building", "tag", req.Tag)
	ctx, cancel := withinAttempt(ctx, "it did not end within the time of its attempt at the job, which no build.timeout extends: make its steps shorter")
	defer cancel()
	ref, err := w.builder().Build(ctx, req)
	if err != nil {
		return image.Reference{}, fmt.Errorf("build image of %s: %w", app.Name, err)
	}
	return ref, nil
}

// withinAttempt ends long work a little before its attempt ends, and says why. So it is a failed attempt, of which there
// are few: one that was cut off counts as lost, like a machine that vanished, and would be begun again many times.
func withinAttempt(ctx context.Context, why string) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	const before, share = 5 * time.Second, 10
	return context.WithDeadlineCause(ctx, end.Add(-min(before, time.Until(end)/share)), errors.New(why))
}

// request is what the builder is asked for: enough to look the image up, and all but the folder and the
// secrets to build it.
func (w *work) request() image.Request {
	app, b := w.entry.App, w.buildSection()
	req := image.Request{
		Dockerfile: b.Dockerfile, Ignorefile: b.Ignorefile, Target: b.Target, Args: b.Args, Labels: b.Labels,
		App: app.Name, Repository: app.Image.Repository, Tag: w.marks.build, NoCache: w.noCache, Cache: b.Cache,
		Network: b.Network, Provenance: b.Provenance, Compression: b.Compression, Level: b.CompressionLevel,
		Backend: b.Backend, Log: w.buildLog(),
	}
	if b.Builder != "" { // a list of buildpacks alone has no effect, as with flyctl
		req.Buildpacks = image.Buildpacks{Builder: b.Builder, Use: b.Buildpacks}
	}
	if b.Timeout != nil {
		req.Timeout = time.Duration(*b.Timeout)
	}
	if w.code != nil {
		req.Epoch = w.code.Committed
	}
	return req
}

// buildSection is the manifest's, empty where it has none.
func (w *work) buildSection() manifest.Build {
	if b := w.entry.App.Build; b != nil {
		return *b
	}
	return manifest.Build{}
}

// fill brings the files of the source, of which only the outline was needed for its digest.
func (w *work) fill(ctx context.Context) error {
	if w.code == nil {
		return nil
	}
	if err := w.Source.Fill(ctx, w.code, w.where); err != nil {
		return fmt.Errorf("fetch source of %s: %w", w.entry.App.Name, err)
	}
	return nil
}

func (w *work) buildLog() io.Writer {
	if w.BuildLog == nil {
		return io.Discard
	}
	return w.BuildLog
}

// dockerfile gives the path of the Dockerfile in the build's folder.
func (w *work) dockerfile(dir string) (string, error) {
	names := []string{"Dockerfile", "dockerfile"}
	if b := w.buildSection().Dockerfile; b != "" && w.entry.App.Source.Inline == "" {
		names = []string{path.Clean(b)}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	for _, name := range names {
		if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
			return name, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", job.Rejectf("%s: build.dockerfile: %s cannot be read: %w", w.entry.File, name, err)
		}
	}
	return "", job.Rejectf("%s: the source of %s (%s) has no %s: add one, name it in build.dockerfile, or use source.type: image",
		w.entry.File, w.entry.App.Name, cmp.Or(w.where, "its root"), names[0])
}

// ensureApp creates the app, whose registry repository takes the image.
func (w *work) ensureApp(ctx context.Context) error {
	if w.observed.Exists {
		return nil
	}
	ch, err := w.Fly.Begin(ctx, w.entry.App.Name, plan.Scope{})
	if err != nil {
		return err
	}
	defer func() { w.discard(ctx, ch.Close()) }()
	if ch.Observed().Exists {
		return nil
	}
	if err := w.trusted(ctx); err != nil {
		return err
	}
	create := plan.CreateApp{App: w.target.App, Org: w.target.Org, Network: w.target.Network}
	if err := w.applyStep(ctx, ch, create); err != nil {
		return err
	}
	w.note(plan.Line(create))
	w.observed.Exists, w.observed.Org = true, create.Org
	return nil
}
