package plan

import (
	"time"

	flygo "github.com/superfly/fly-go"
)

// Change is one difference: old → new at a dotted key. A value that may be secret is left out.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// Stage is a group of steps that may run side by side, up to Parallel at once. The next stage
// begins when all of them are done and proven.
type Stage struct {
	Name     string
	Parallel int
	Steps    []Step
	// Again says that what follows depends on what this stage brings about: whoever applies the plan
	// observes the app after it and asks Diff again. The stages behind it are there to be read.
	Again bool
	// Unproven says that the machines which the stage touches are not proven after it: a later
	// stage of the same plan does away with them, or wakes them.
	Unproven bool
}

// Plan is a decision as data. The zero value changes nothing.
type Plan struct {
	Stages []Stage
	// Notes are for people: machines that are left alone and why.
	Notes []string
}

// Empty reports whether nothing would change.
func (p Plan) Empty() bool { return len(p.Stages) == 0 }

// Proof is what must be true of an app for its deploy to count: invariant 8.
type Proof struct {
	App         string
	Machines    []ProofMachine
	WaitTimeout time.Duration
}

// ProofMachine is one machine that must run as wanted.
type ProofMachine struct {
	// ID is empty for a machine that was found by name.
	ID, Name, Group string
	// Digest is the image digest (sha256:…) that it must run.
	Digest string
	Config *flygo.MachineConfig
	// Stopped allows the machine to be stopped or suspended (autostop, standby).
	Stopped bool
	// Launched wants it to have started since it was made or updated, also where it may have been
	// stopped again.
	Launched bool
	// Scheduled is true of a machine that Fly starts by the clock: whether it runs proves nothing.
	Scheduled bool
	// Impossible says why nothing can meet this proof: the intent was refused. See ProofOf.
	Impossible string
}
