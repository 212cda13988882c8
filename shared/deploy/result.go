package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
	"github.com/gigurra/flycd/shared/secret"
)

const (
	// settleTries and settleWait bound how long the lists of Fly may lag behind a proof.
	settleTries = 5
	settleWait  = time.Second
)

// conclude notes that the app is as intended, and the fingerprint that the next deploy compares with.
func (w *work) conclude(o plan.Observed, outcome job.Outcome) error {
	w.observed, w.outcome, w.url = o, outcome, addressOf(o, w.target)
	w.warnings = append(w.warnings, w.decision.Notes...)
	w.pending, w.secretSum = pendingOf(o, w.target.Certs), w.envSum(w.target.App, secret.EnvOf(w.entry.App))
	// an app whose manifest lies in another repository has more commits than the one that is recorded
	if w.configAt.Hash != "" && w.entry.Repo == "" && len(w.target.Addons) == 0 {
		w.fingerprint = fingerprint(o)
	}
	return nil
}

// addressOf is where Fly's proxy answers for an app, where it has a service and an address that the public reaches.
func addressOf(o plan.Observed, t machine.Target) string {
	serves := slices.ContainsFunc(t.Groups, func(g machine.Group) bool { return g.Config != nil && len(g.Config.Services) > 0 })
	public := slices.ContainsFunc(o.IPs, func(ip plan.IP) bool { return !ip.Private && !ip.Egress })
	if !serves || !public {
		return ""
	}
	return "https://" + t.App + ".fly.dev"
}

// settled looks at the app once more: Fly's lists may lag behind what was proven of each machine, and a
// machine may have fallen since its stage proved it, which is waited for as a proof does.
func (w *work) settled(ctx context.Context, ch *fly.Change, done []plan.Step) (plan.Observed, error) {
	for try := 1; ; try++ {
		o, err := w.outcomeOf(ctx, ch, done)
		if err != nil {
			return o, err
		}
		err = plan.Proven(o, w.intent)
		if err == nil {
			return o, nil
		}
		if err := ch.Prove(ctx, plan.ProofOf(w.observed, w.intent)); err != nil {
			return o, err
		}
		if try == settleTries {
			return o, fmt.Errorf("look at %s after the deploy: %w", w.entry.App.Name, err)
		}
		select {
		case <-ctx.Done():
			return o, context.Cause(ctx)
		case <-time.After(settleWait):
		}
	}
}

// outcomeOf observes the app after the steps. Where they were about machines alone, the rest is as it was
// observed under the leases.
func (w *work) outcomeOf(ctx context.Context, ch *fly.Change, done []plan.Step) (plan.Observed, error) {
	if slices.ContainsFunc(done, beyondMachines) {
		return ch.Look(ctx)
	}
	o := w.observed
	var err error
	o.Machines, err = ch.Machines(ctx)
	return o, err
}

func beyondMachines(s plan.Step) bool {
	switch s.(type) {
	case plan.CreateMachine, plan.UpdateMachine, plan.ReplaceMachine, plan.DestroyMachine, plan.RunCommand, plan.Cordon, plan.Uncordon:
		return false
	default:
		return true
	}
}

// result composes what is known so far.
func (w *work) result() job.Result {
	return job.Result{
		Outcome: w.outcome, Detail: w.detail,
		Digest: w.wanted(), ConfigDigest: w.marks.digests.Config, SourceDigest: w.marks.digests.Source,
		ConfigCommit: w.configAt.Hash, SourceCommit: w.sourceAt.Hash,
		Image: w.image, Release: w.marks.release, Fingerprint: w.fingerprint,
		Changes: w.changes, Warnings: w.warnings, Pending: w.pending, Secrets: w.secretSum, URL: w.url,
	}
}

// pendingOf lists the DNS records that the certificates still wait for.
func pendingOf(o plan.Observed, hosts []string) []string {
	var lines []string
	for _, c := range o.Certs {
		if slices.Contains(hosts, c.Hostname) {
			lines = append(lines, c.Pending...)
		}
	}
	return lines
}

func (w *work) wanted() string {
	if w.marks.digests.Config == "" || w.marks.digests.Source == "" {
		return ""
	}
	return w.marks.digests.Wanted()
}

// linesOf gives the plan for people. FlyCD's own stamps are left out where anything else changes.
func linesOf(p plan.Plan) []string {
	var lines []string
	for _, st := range p.Stages {
		for _, s := range st.Steps {
			lines = append(lines, lineOf(s))
		}
	}
	return lines
}

func lineOf(s plan.Step) string {
	if u, ok := s.(plan.UpdateMachine); ok {
		rest := slices.DeleteFunc(slices.Clone(u.Changes), func(c plan.Change) bool { return strings.HasPrefix(c.Key, "metadata.flycd_") })
		if len(rest) > 0 {
			u.Changes = rest
		}
		s = u
	}
	return plan.Line(s)
}
