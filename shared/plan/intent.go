package plan

import (
	"slices"

	"github.com/gigurra/flycd/shared/machine"
)

// Intent is what a deploy wants: the target and what only the deploy knows.
type Intent struct {
	Target machine.Target
	// Image is the reference with its digest.
	Image string
	// Metadata is FlyCD's own (flycd_digest, flycd_commit, …), laid into every machine. Keys that
	// end in _commit never make a plan by themselves.
	Metadata map[string]string
	// Env is FlyCD's own (FLYCD_APP_VERSION, …), laid into every machine; commits in it never make
	// a plan by themselves.
	Env map[string]string
	// Secrets are those that the app should have: the manifest's and the add-ons'.
	Secrets []WantedSecret
	// Job is the id of the job, which names the ephemeral machines of its commands, so that each of them
	// runs at most once for a job. Empty for a dry run.
	Job string
	// First reports that FlyCD has not deployed the app before: the seed command runs. See FirstOf.
	First bool
	// Given are the secrets that this attempt has set already. Fly's answer to that is a digest that no
	// machine knows yet, so Diff could not tell otherwise. Ran are the names of the commands that it has
	// run, and Made the services that it has made. After fills them in.
	Given, Ran []string
	Made       []machine.Addon
	// Renew sets every secret again: a forced deploy that has no key to compare them by.
	Renew bool
	// Confirm is a person's word that what is lost for good may go: volumes, databases, certificates,
	// dedicated addresses. It works only together with Target.Prune (or Target.PruneIPs).
	Confirm bool
}

// WantedSecret is a secret that the app should have. Diff compares it with what the machines say of
// it (metadata flycd_secrets: for each secret the MAC of its value and Fly's digest when it was set)
// and with Fly's digest now, so that an unchanged value costs nothing.
type WantedSecret struct {
	Name string
	// MAC is the HMAC of the value under FLYCD_DIGEST_KEY. It is empty without that key: the secret is then
	// set again whenever the app's digest changes.
	MAC string
	// Unknown is true of a value that cannot be had (an add-on's, that Fly tells only once): the secret
	// is left as it is where it exists.
	Unknown bool
}

// After gives the intent for the next Diff or Proven of the same attempt, once the steps are done
// (Stage.Again).
func (want Intent) After(done []Step) Intent {
	want.Given, want.Ran = slices.Clone(want.Given), slices.Clone(want.Ran)
	want.Made = slices.Clone(want.Made)
	for _, step := range done {
		switch s := step.(type) {
		case SetSecrets:
			want.Given = append(want.Given, s.Set...)
		case CreateAddon:
			want.Made = append(want.Made, s.Addon)
		case RunCommand:
			want.Ran = append(want.Ran, s.Name)
		default:
		}
	}
	return want
}

// FirstOf reports whether FlyCD has not deployed the app before this job: there is no machine of an
// earlier one. An attempt that was cut off leaves the next attempt at the job the first.
func FirstOf(o Observed, job string) bool {
	return !slices.ContainsFunc(o.Machines, func(m Machine) bool {
		return stamped(m) && !madeBy(m, job)
	})
}
