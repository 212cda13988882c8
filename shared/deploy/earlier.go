package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/plan"
)

// earlier are the machines that an earlier attempt at the same job changed or made. It may have been
// killed at any moment, so nothing is known of them but what their metadata say.
func (w *work) earlier() []plan.Machine {
	return slices.DeleteFunc(slices.Clone(w.observed.Machines), func(m plan.Machine) bool {
		return metaOf(m, metaJob) != string(w.req.Job.ID)
	})
}

func metaOf(m plan.Machine, key string) string {
	if m.Machine == nil || m.Config == nil {
		return ""
	}
	return m.Config.Metadata[key]
}

// preceded reports whether there was anything before this job that can be gone back to.
func (w *work) preceded() bool {
	return slices.ContainsFunc(w.observed.Machines, func(m plan.Machine) bool {
		return metaOf(m, metaJob) != string(w.req.Job.ID) || metaOf(m, plan.MetaPrevious) != ""
	})
}

// proveEarlier looks at what an earlier attempt changed before more machines are changed likewise: a
// release that killed its first machine is not given to the second one too.
func (w *work) proveEarlier(ctx context.Context, ch *fly.Change, p plan.Plan) error {
	ids := map[string]bool{}
	for _, m := range w.earlier() {
		ids[m.ID] = metaOf(m, metaDigest) == w.marks.digests.Wanted()
	}
	return w.proveKept(ctx, ch, p, func(id string) bool { return ids[id] })
}

// proveKept proves those of the machines that the plan leaves as they are.
func (w *work) proveKept(ctx context.Context, ch *fly.Change, p plan.Plan, which func(id string) bool) error {
	proof := plan.ProofOf(w.observed, w.intent)
	for _, st := range p.Stages {
		ids, _ := touched(st)
		proof.Machines = slices.DeleteFunc(proof.Machines, func(m plan.ProofMachine) bool { return ids[m.ID] })
	}
	proof.Machines = slices.DeleteFunc(proof.Machines, func(m plan.ProofMachine) bool { return m.ID == "" || !which(m.ID) })
	if len(proof.Machines) == 0 || p.Empty() {
		return nil
	}
	return ch.Prove(ctx, proof)
}

// fromStart gives the steps of the whole job: the machines that earlier attempts changed are shown as
// they were before the job, in the version that their metadata name. What earlier attempts made stays, since it may
// be all that there is, unless it was made beside what serves.
func (w *work) fromStart(ctx context.Context, done []plan.Step) []plan.Step {
	before := plan.Begun(w.observed)
	for _, m := range w.earlier() {
		version := metaOf(m, plan.MetaPrevious)
		if version == "" {
			continue
		}
		old, err := w.Fly.Before(ctx, m, w.observed.App, version)
		if err != nil {
			w.detail += fmt.Sprintf("; what machine %s was before is not known: %v", m.ID, err)
			continue
		}
		before = append(before, plan.UpdateMachine{App: w.observed.App, Machine: old, Config: old.Config})
		done = slices.DeleteFunc(slices.Clone(done), func(s plan.Step) bool {
			u, ok := s.(plan.UpdateMachine)
			return ok && u.Machine.ID == m.ID
		})
	}
	return append(before, done...)
}
