package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
)

// imageRef is the image that the manifest names; empty where it has to be built.
func (w *work) imageRef() string {
	return w.entry.App.ImageRef()
}

// makeImage finds or builds the image, by digest.
func (w *work) makeImage(ctx context.Context) error {
	if w.imageRef() != "" {
		return w.takeImage(ctx)
	}
	if w.marks.build == "" {
		sum, err := w.buildDigest()
		if err != nil {
			return err
		}
		w.marks.build = "t-" + sum
	}
	// what was built from the same is what the machines run already
	if w.marks.build == w.seal.meta[metaBuild] && w.seal.runs(w.repository(), w.marks.build) && (w.dry || !w.rebuilds()) {
		return w.runAgain(ctx)
	}
	if w.dry {
		return w.foresee(ctx)
	}
	ref, err := w.buildOnce(ctx)
	if err != nil {
		return err
	}
	w.image = ref.String()
	return nil
}

// anew reports whether the job forces, and has not deployed yet.
func (w *work) anew() bool { return w.force() && w.seal.meta[metaJob] != string(w.req.Job.ID) }

// rebuilds reports whether an image is built that is there already.
func (w *work) rebuilds() bool { return w.noCache && w.anew() }

// runAgain takes the image that the machines run. A job that forces takes the one that the registry has under the same
// tag, as somebody may have built it anew.
func (w *work) runAgain(ctx context.Context) error {
	w.image = w.seal.image
	if !w.anew() {
		return nil
	}
	ref, there, err := w.builder().Built(ctx, w.request())
	switch {
	case interrupted(ctx) != nil:
		return interrupted(ctx)
	case err != nil:
		w.warnings = append(w.warnings, fmt.Sprintf("whether the image was built anew is not known, and the one that runs is taken: %v", err))
	case there:
		w.image = ref.String()
	}
	return nil
}

// takeImage finds the image that the manifest names, or its policy chooses.
func (w *work) takeImage(ctx context.Context) error {
	src := w.entry.App.Source
	ref, err := w.Images.Pick(ctx, w.imageRef(), src.Policy)
	if err != nil {
		return fmt.Errorf("%s: %w", w.entry.File, err)
	}
	w.image, w.marks.digests.Source = ref.String(), ref.Digest
	if !src.Copy {
		return nil
	}
	to := image.Reference{Name: w.repository() + ":" + copyTag(ref), Digest: ref.Digest}
	w.image = to.String()
	if w.dry || w.seal.image == w.image {
		return nil
	}
	if err := w.ensureApp(ctx); err != nil {
		return err
	}
	copying, cancel := withinAttempt(ctx, "it was not copied within the time of its attempt at the job: a registry is too slow, or the image too large")
	defer cancel()
	if _, err := w.Images.Copy(copying, ref, to.Name); err != nil {
		return fmt.Errorf("copy image of %s: %w", w.entry.App.Name, err)
	}
	return nil
}

// copyTag names a copy by its digest, so that one which is there need not be made.
func copyTag(ref image.Reference) string {
	const shown = 32
	return "c-" + ref.Digest[len("sha256:"):][:shown]
}

// repository is where the app's own images are.
func (w *work) repository() string {
	return cmp.Or(w.entry.App.Image.Repository, cmp.Or(w.Registry, image.FlyRegistry)+"/"+w.entry.App.Name)
}

// foresee names the image that a deploy would run: the one that is there, or the tag that it would get. Who
// only plans need not reach the registry.
func (w *work) foresee(ctx context.Context) error {
	ref, there, err := w.builder().Built(ctx, w.request())
	if interrupted(ctx) != nil {
		return interrupted(ctx)
	}
	if err != nil {
		w.warnings = append(w.warnings, fmt.Sprintf("whether the image is built already is not known: %v", err))
	}
	w.image = w.repository() + ":" + w.marks.build
	if there {
		w.image = ref.String()
	}
	return nil
}

// buildOnce gives the image of the build's tag: the one that the registry has, else a new one. Of several
// jobs that want it at once, one builds it and the others take it.
func (w *work) buildOnce(ctx context.Context) (image.Reference, error) {
	req := w.request()
	ref, there, err := w.look(ctx, req)
	if there || err != nil {
		return ref, err
	}
	if w.Turns != nil {
		name := w.repository() + ":" + req.Tag
		done, waited, err := w.Turns.Turn(ctx, name, string(w.req.Job.ID))
		switch {
		case interrupted(ctx) != nil:
			return image.Reference{}, interrupted(ctx)
		case err != nil:
			// taking turns saves a build, and nothing depends on it
			w.log.WarnContext(ctx, "builds without its turn", "image", name, "error", err.Error())
		default:
			defer done()
		}
		if waited {
			if ref, there, err := w.look(ctx, req); there || err != nil {
				return ref, err
			}
		}
	}
	return w.build(ctx, req)
}

// look asks the registry for the image. What the registry denies to show may still be pushed, and else the
// push says why not.
func (w *work) look(ctx context.Context, req image.Request) (image.Reference, bool, error) {
	if w.rebuilds() {
		return image.Reference{}, false, nil
	}
	ref, there, err := w.builder().Built(ctx, req)
	if errors.Is(err, job.ErrRejected) {
		return image.Reference{}, false, nil
	}
	if there {
		w.log.InfoContext(ctx, "built before", "image", ref.String())
	}
	return ref, there, err
}

// builder is the deployer's, or the one that says what to set up.
func (d *Deployer) builder() image.Builder {
	if d.Builder == nil {
		return image.Missing{}
	}
	return d.Builder
}
