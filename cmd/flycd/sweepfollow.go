package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/queue"
)

// following is what a sweep found of apps that follow an image, where registries told of no push or nobody
// heard it.
type following struct {
	// Followed are the jobs that were pushed: for apps whose policy takes another image than was deployed last.
	Followed []followed `json:"followed,omitempty"`
	// Tried are the apps whose last job was about the image that their policy takes, and did not end well. They
	// are not tried with it again.
	Tried []string `json:"tried,omitempty"`
	// Unresolved says why it is not known what a policy takes, a line for each image.
	Unresolved []string `json:"unresolved,omitempty"`
}

// followed is a job and the image that it is for.
type followed struct {
	queue.Pushed
	Image string `json:"image"`
}

const (
	followParallel = 8
	// followEach bounds the questions about one image, followAll those of a sweep: runners that died are not
	// to wait for a registry that hangs.
	followEach = 20 * time.Second
	followAll  = time.Minute
)

// tracked is an image and what is taken of it. Apps that have both in common cost one look.
type tracked struct {
	image  string
	policy catalog.ImagePolicy
}

// pick is what a registry says of a tracked image.
type pick struct {
	of   tracked
	apps []catalog.Entry
	ref  image.Reference
	err  error
}

// followImages asks registries what the apps that follow an image are to run, and pushes a job of low priority for
// those that were deployed with another one. A registry that gives no answer is told of, and no more.
func (c *cli) followImages(ctx context.Context, q *queue.Queue, known idle) (following, error) {
	picks := trackedBy(known.apps)
	if len(picks) == 0 {
		return following{}, nil
	}
	registry, err := c.registry(c.cfg.flyToken())
	if err != nil {
		return following{}, err
	}
	pickAll(ctx, registry, picks)
	f, jobs, err := moved(ctx, q, known.states, picks)
	if err == nil {
		err = ctx.Err()
	}
	var answer queue.Answer
	if err == nil && len(jobs) > 0 {
		answer, _, err = q.Push(ctx, queue.Delivery{Jobs: jobs})
	}
	f.Followed = f.Followed[:len(answer.Jobs)] // none where they were not pushed
	for i, p := range answer.Jobs {            // in the order of the jobs
		f.Followed[i].Pushed = p
	}
	return f, err
}

// trackedBy gives the images that apps follow, each once, in no order: where the time runs out, it is not
// always the same ones that are not asked for.
func trackedBy(apps []catalog.Entry) []*pick {
	by := map[tracked]*pick{}
	for _, e := range apps {
		if !e.Auto || e.Image == "" || e.Policy == (catalog.ImagePolicy{}) {
			continue
		}
		of := tracked{e.Image, e.Policy}
		if by[of] == nil {
			by[of] = &pick{of: of}
		}
		by[of].apps = append(by[of].apps, e)
	}
	picks := make([]*pick, 0, len(by))
	for _, p := range by {
		picks = append(picks, p)
	}
	return picks
}

func pickAll(ctx context.Context, registry image.Registry, picks []*pick) {
	ctx, cancel := context.WithTimeoutCause(ctx, followAll, fmt.Errorf("the sweep's %s for registries were over", followAll))
	defer cancel()
	group := errgroup.Group{}
	group.SetLimit(followParallel)
	for _, p := range picks {
		group.Go(func() error {
			ctx, cancel := context.WithTimeoutCause(ctx, followEach, fmt.Errorf("the registry did not answer within %s", followEach))
			defer cancel()
			p.ref, p.err = registry.Pick(ctx, p.of.image, manifest.ImagePolicy(p.of.policy))
			return nil
		})
	}
	_ = group.Wait() // each image's error is with its pick
	slices.SortFunc(picks, func(a, b *pick) int { return strings.Compare(a.apps[0].App, b.apps[0].App) })
}

// moved compares what the policies take with what was deployed. Followed has an item for each of the jobs, in
// their order.
func moved(ctx context.Context, q *queue.Queue, states map[string]queue.AppState, picks []*pick) (f following, jobs []job.Job, err error) {
	for _, p := range picks {
		if p.err != nil {
			f.Unresolved = append(f.Unresolved, fmt.Sprintf("%s: %v", names(p.apps), p.err))
			continue
		}
		for _, e := range p.apps {
			s := states[e.App]
			if s.Result.SourceDigest == p.ref.Digest {
				continue
			}
			tried, err := triedWith(ctx, q, s, p.ref.Digest)
			switch {
			case err != nil:
				return f, nil, err
			case tried != "":
				f.Tried = append(f.Tried, fmt.Sprintf("%s is not deployed with %s: job %s ended %s; see flycd logs %s, and try again with flycd dispatch %s",
					e.App, p.ref, s.Last, tried, s.Last, e.App))
			default:
				jobs = append(jobs, sweepJob(e))
				f.Followed = append(f.Followed, followed{Image: p.ref.String()})
			}
		}
	}
	return f, jobs, nil
}

// triedWith gives how the app's last job ended if it was about that image, or the manifest was refused before it
// came to one, and it was not done: no push was missed, and nothing says that the same would end otherwise now.
func triedWith(ctx context.Context, q *queue.Queue, s queue.AppState, digest string) (job.Outcome, error) {
	if s.Last == "" || s.LastOutcome.Done() {
		return "", nil
	}
	last, err := q.Job(ctx, s.Last)
	switch {
	case errors.Is(err, queue.ErrUnknown):
		return "", nil
	case err != nil:
		return "", err
	case last.Result.SourceDigest != digest && (last.Result.ConfigDigest != "" || s.LastOutcome != job.Rejected):
		return "", nil
	}
	return s.LastOutcome, nil
}

// names are those of the first apps, for a line.
func names(apps []catalog.Entry) string {
	const most = 3
	var list []string
	for _, e := range apps[:min(len(apps), most)] {
		list = append(list, e.App)
	}
	text := strings.Join(list, ", ")
	if more := len(apps) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
