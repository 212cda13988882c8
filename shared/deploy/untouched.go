package deploy

import (
	"context"
	"errors"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// untouched is the cheapest way to unchanged: neither commit has moved since the last result, and
// Fly shows the machines exactly as they were proven. It costs one ls-remote, or one question to a
// registry, and no clone. It reports false whenever that cannot be known so cheaply.
func (w *work) untouched(ctx context.Context) (bool, error) {
	last, e := w.req.Last, w.req.Entry
	if w.force() || w.req.Job.Confirm || last.Fingerprint == "" || !last.Outcome.Done() || e == nil {
		return false, nil
	}
	if last.ConfigCommit == "" || last.ConfigCommit != w.configAt.Hash || e.Commit != w.configAt.Hash || e.Digest != last.ConfigDigest {
		return false, nil
	}
	if d := w.Deployer; len(e.EnvSecrets) > 0 && d.envSum(e.App, e.EnvSecrets) != last.Secrets {
		return false, nil
	}
	same, err := w.sourceStands(ctx)
	if errors.Is(err, job.ErrRejected) {
		return false, nil // whoever reads the manifest says what is wrong
	}
	if err != nil || !same {
		return false, err
	}
	o, err := w.Fly.Observe(ctx, w.req.Job.App, plan.Scope{Secrets: e.Looks.Secrets, Certs: e.Looks.Certs, Egress: e.Looks.Egress})
	if err != nil {
		return false, err
	}
	if fingerprint(o) != last.Fingerprint || !rests(o) {
		return false, nil
	}
	w.outcome, w.fingerprint, w.image = job.Unchanged, last.Fingerprint, last.Image
	w.secretSum, w.url = last.Secrets, last.URL
	for _, c := range o.Certs {
		w.pending = append(w.pending, c.Pending...)
	}
	w.marks = mark{digests: Digests{Config: last.ConfigDigest, Source: last.SourceDigest}, release: last.Release}
	w.log.InfoContext(ctx, "unchanged", "config_commit", w.configAt.Hash, "source_commit", w.sourceAt.Hash)
	return true, nil
}

// sourceStands reports whether the source is what it was at the last result.
func (w *work) sourceStands(ctx context.Context) (bool, error) {
	last, src := w.req.Last, w.req.Entry.Source
	if src.Repo != "" {
		at, err := w.sourceCommitOf(ctx, w.req.Source, src.Repo, entryRef(src))
		if err != nil {
			return false, err
		}
		w.sourceAt = at
		if at.Hash != last.SourceCommit || last.SourceCommit == "" {
			return false, nil
		}
	}
	// An image's source digest is the digest that its tag stood for, also where build.image stands beside a repository.
	if !strings.HasPrefix(last.SourceDigest, "sha256:") {
		return true, nil
	}
	if w.req.Entry.Image == "" {
		return false, nil
	}
	ref, err := w.Images.Pick(ctx, w.req.Entry.Image, manifest.ImagePolicy(w.req.Entry.Policy))
	if err != nil {
		return false, err
	}
	return ref.Digest == last.SourceDigest, nil
}
