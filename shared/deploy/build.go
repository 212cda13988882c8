package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/source"
)

// buildFlags are what launch_params and deploy_params say of the image. A key of the manifest wins over
// the flag of the same meaning.
type buildFlags struct {
	image, dockerfile, ignorefile, target string
	args                                  map[string]string
	noCache                               bool
}

func buildFlagsOf(e manifest.Entry) (buildFlags, error) {
	f := buildFlags{args: map[string]string{}}
	for _, params := range [][]string{e.App.LaunchParams, e.App.DeployParams} {
		for i := 0; i < len(params); i++ {
			if !strings.HasPrefix(params[i], "-") {
				continue // the value of a flag that says nothing of the image
			}
			name, value, has := strings.Cut(strings.TrimLeft(params[i], "-"), "=")
			if name == "no-cache" {
				f.noCache = value == "" || value == "true"
				continue
			}
			if !slices.Contains([]string{"image", "i", "dockerfile", "ignorefile", "build-target", "build-arg", "build-secret"}, name) {
				continue
			}
			if !has && i+1 < len(params) {
				i++
				value = params[i]
			}
			if err := f.set(name, value); err != nil {
				return f, job.Rejectf("%s: %w", e.File, err)
			}
		}
	}
	if b := e.App.Build; b != nil {
		maps.Copy(f.args, b.Args)
		f.image, f.dockerfile = or(b.Image, f.image), or(b.Dockerfile, f.dockerfile)
		f.ignorefile, f.target = or(b.Ignorefile, f.ignorefile), or(b.Target, f.target)
	}
	return f, nil
}

func (f *buildFlags) set(name, value string) error {
	switch name {
	case "image", "i":
		f.image = value
	case "dockerfile":
		f.dockerfile = value
	case "ignorefile":
		f.ignorefile = value
	case "build-target":
		f.target = value
	case "build-secret":
		return errors.New("deploy_params: --build-secret: this version of FlyCD cannot apply it yet; leave it out")
	case "build-arg":
		k, v, ok := strings.Cut(value, "=")
		if !ok {
			return fmt.Errorf("deploy_params: --build-arg: expected NAME=VALUE, found %q", value)
		}
		f.args[k] = v
	}
	return nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// imageRef is the image that the manifest names; empty where it has to be built.
func (w *work) imageRef() string {
	return or(w.entry.App.ImageRef(), w.flags.image)
}

// makeImage finds or builds the image, by digest. An image that was built from the same is what the
// machines run already, and is not built again.
func (w *work) makeImage(ctx context.Context) error {
	if name := w.imageRef(); name != "" {
		ref, err := w.Images.Resolve(ctx, name)
		if err != nil {
			return err
		}
		w.image, w.marks.digests.Source = ref.String(), ref.Digest
		return nil
	}
	if w.marks.build == "" {
		sum, err := w.buildDigest()
		if err != nil {
			return err
		}
		w.marks.build = "t-" + sum
	}
	if w.marks.build == w.seal.meta[metaBuild] && w.seal.runs(w.marks.build) {
		w.image = w.seal.image
		return nil
	}
	if w.dry {
		w.image = image.FlyRegistry + "/" + w.entry.App.Name + ":" + w.marks.build
		return nil
	}
	ref, err := w.build(ctx)
	w.image = ref.String()
	return err
}

// buildDigest hashes all that an image is made from.
func (w *work) buildDigest() (string, error) {
	parts := []string{"build 1", w.marks.digests.Source, w.flags.dockerfile, w.flags.ignorefile, w.flags.target}
	for _, k := range slices.Sorted(maps.Keys(w.flags.args)) {
		parts = append(parts, k, w.flags.args[k])
	}
	merged, err := mergedFiles(w.entry)
	if err != nil {
		return "", err
	}
	for _, name := range merged {
		sum, err := fileDigest(w.entry.FS, path.Join(w.entry.Dir, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		parts = append(parts, "merged", name, sum)
	}
	return digest(parts...), nil
}

// build makes the build's folder and hands it to the builder.
func (w *work) build(ctx context.Context) (image.Reference, error) {
	app := w.entry.App
	if w.Builder == nil {
		return image.Missing{}.Build(ctx, image.Request{App: app.Name})
	}
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
	dockerfile, err := w.dockerfile(folder.Dir)
	if err != nil {
		return image.Reference{}, err
	}
	if err := w.ensureApp(ctx); err != nil {
		return image.Reference{}, err
	}
	w.log.InfoContext(ctx, "building", "tag", w.marks.build)
	ref, err := w.Builder.Build(ctx, image.Request{
		Dir: folder.Dir, Dockerfile: dockerfile, Ignorefile: w.flags.ignorefile, Target: w.flags.target, Args: w.flags.args,
		App: app.Name, Tag: w.marks.build, NoCache: w.flags.noCache, Log: w.buildLog(),
	})
	if err != nil {
		return image.Reference{}, fmt.Errorf("build image of %s: %w", app.Name, err)
	}
	return ref, nil
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
	if w.flags.dockerfile != "" && w.entry.App.Source.Inline == "" {
		names = []string{path.Clean(w.flags.dockerfile)}
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
		w.entry.File, w.entry.App.Name, or(w.where, "its root"), names[0])
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
	w.changes = append(w.changes, plan.Line(create))
	return nil
}
