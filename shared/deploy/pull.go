package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/report"
	"github.com/gigurra/flycd/shared/secret"
	"github.com/gigurra/flycd/shared/source"
)

const (
	// mostPlanned is how many apps the plan of one pull request looks at; the others are named.
	mostPlanned = 100
	// plansAtOnce bounds how much is asked of Fly at a time.
	plansAtOnce = 4
)

// planPull says what a pull request would change: it reads the config tree at the request's head, plans each app that
// the catalog knows otherwise, and words that for a comment (Result.Plan). Nothing is changed. Mistakes in manifests
// are in the plan, and reject the job, so that the commit's status says so.
func (d *Deployer) planPull(ctx context.Context, req Request) (job.Result, error) {
	if d.Index == nil {
		return job.Result{}, job.Rejectf("job %s: the plan of a pull request needs the catalog: set REDIS_URL", req.Job.ID)
	}
	if req.Job.Untrusted {
		d = d.distrusting(req.Job.Config.Repo)
	}
	half := req.Job.Half
	res := job.Result{ConfigCommit: half.Commit}
	ts := &trees{client: d.Source}
	defer func() { _ = ts.Close() }()
	read, problems, err := ts.read(ctx, req.Job.Config, source.Commit{Hash: half.Commit, Ref: half.Ref}, d.Manifest)
	if err != nil {
		return res, err
	}
	old, err := d.Index.Entries(ctx, req.Job.Config.ID())
	if err != nil {
		return res, err
	}
	p := pull{d, req, ts, &Folder{Tree: read, Problems: problems, trees: ts}}
	rows, err := p.rows(ctx, old)
	if err != nil {
		return res, err
	}
	var b strings.Builder
	if err := report.Markdown(&b, rows); err != nil {
		return res, err
	}
	res.Plan, res.Outcome = b.String(), job.Unchanged
	if slices.ContainsFunc(rows, func(row report.Row) bool { return row.Error != "" }) {
		res.Outcome, res.Detail = job.Rejected, "the plan has errors: see the comment at the pull request"
	}
	return res, nil
}

// distrusting gives a deployer that uses none of our credentials and secrets, but for what opens the config repository.
func (d *Deployer) distrusting(repo string) *Deployer {
	full := *d
	full.Source = d.Source.For(repo)
	full.Images, full.Secrets, full.DigestKey = image.Registry{}, secret.Resolver{}, manifest.Secret{}
	full.Builder = unasked{d.builder()}
	return &full
}

// unasked looks for no image: it would log in for that wherever a manifest says.
type unasked struct{ image.Builder }

// Built implements image.Builder.
func (unasked) Built(context.Context, image.Request) (image.Reference, bool, error) {
	return image.Reference{}, false, nil
}

// pull is the plan of a pull request on its way.
type pull struct {
	*Deployer
	req    Request
	trees  *trees
	folder *Folder
}

// rows plans what the catalog knows otherwise: apps that are new or changed, those that are gone, and mistakes.
func (p pull) rows(ctx context.Context, old []catalog.Entry) ([]report.Row, error) {
	rows := p.mistakes()
	was := map[string]catalog.Entry{}
	for _, e := range old {
		was[e.App] = e
	}
	var changed []manifest.Entry
	for _, e := range p.folder.Apps {
		before, known := was[e.App.Name]
		delete(was, e.App.Name)
		beside := p.trees.localDigest(e) //nolint:contextcheck // it takes none: it reads and ends
		if sum, err := ConfigDigest(e); known && err == nil && sum == before.Digest && beside == before.SourceDigest {
			continue
		}
		changed = append(changed, e)
	}
	planned, err := p.plans(ctx, changed[:min(len(changed), mostPlanned)])
	rows = append(rows, planned...)
	for _, e := range changed[min(len(changed), mostPlanned):] {
		rows = append(rows, report.Row{App: e.App.Name, Outcome: job.Updated, Notes: []string{fmt.Sprintf("changed, and not planned: a pull request's plan looks at %d apps", mostPlanned)}})
	}
	if p.folder.Problems.HideApps() {
		return rows, err // what cannot be read may name them
	}
	for _, e := range old {
		if _, gone := was[e.App]; gone {
			rows = append(rows, goneRow(e))
		}
	}
	return rows, err
}

func goneRow(e catalog.Entry) report.Row {
	note := "no longer named: it stays as it is (sync.prune is not set)"
	if e.Prune {
		note = fmt.Sprintf("no longer named: it will be destroyed %s after the merge (sync.prune), if it holds no data", e.Pruning.Grace())
	}
	return report.Row{App: e.App, Outcome: job.Unchanged, Notes: []string{note}}
}

// mistakes gives a row for each app, or file, that something is wrong with.
func (p pull) mistakes() []report.Row {
	var rows []report.Row
	for _, one := range p.folder.Problems {
		name := one.App
		if name == "" {
			name = one.File
		}
		if i := slices.IndexFunc(rows, func(r report.Row) bool { return r.App == name }); i >= 0 {
			rows[i].Error += "\n" + one.String()
			continue
		}
		rows = append(rows, report.Row{App: name, Error: one.String()})
	}
	return rows
}

// plans plans some apps, a few at a time. What may pass fails the whole plan: it is tried again.
func (p pull) plans(ctx context.Context, apps []manifest.Entry) ([]report.Row, error) {
	rows := make([]report.Row, len(apps))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(plansAtOnce)
	for i, e := range apps {
		group.Go(func() error {
			made, err := p.plan(ctx, p.requestFor(e))
			rows[i] = report.Row{
				App: e.App.Name, Outcome: made.Result.Outcome, Counts: made.Plan.Counts(), Changes: made.Summary, Plan: made.Plan,
				Notes: made.Result.Warnings, Pending: made.Result.Pending, Digest: made.Result.Digest,
			}
			if errors.Is(err, job.ErrRejected) {
				rows[i].Error, err = err.Error(), nil
			}
			return err
		})
	}
	return rows, group.Wait()
}

// requestFor is the plan of one app at the request's head.
func (p pull) requestFor(e manifest.Entry) Request {
	j, tree := p.req.Job, p.req.Job.Config
	half := job.Half{Side: job.ConfigSide, Repo: tree.Repo, Ref: tree.Ref, Default: tree.Ref == "", Commit: j.Half.Commit}
	return Request{
		Job:    job.Job{ID: j.ID, Kind: job.Plan, App: e.App.Name, Org: e.App.Org, Config: tree, Reason: j.Reason, Created: j.Created},
		Config: &half, Folder: p.folder, Final: true,
	}
}
