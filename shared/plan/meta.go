package plan

import "github.com/gigurra/flycd/shared/machine"

// The metadata that FlyCD writes into machines so that Fly itself tells what an earlier deploy did. Those
// that the corridor writes (flycd_digest, flycd_commit, …) come with Intent.Metadata.
const (
	// MetaJob is the job that made the machine or changed it last, and MetaPrevious the version that it
	// had before that job.
	MetaJob      = "flycd_job"
	MetaPrevious = "flycd_previous"
	// MetaDigest is the digest of what was wanted. A machine without it has not been deployed by FlyCD.
	MetaDigest = "flycd_digest"
	// MetaSecrets is the seal: for each secret NAME=MAC.DIGEST, sorted and parted by spaces, with the MAC of its
	// value and Fly's digest of it when the machine got it.
	MetaSecrets = "flycd_secrets"
	// MetaSchedule names the schedule that a machine belongs to.
	MetaSchedule = machine.MetaSchedule
	// MetaAddons are the services that FlyCD has made for the app: TYPE/NAME, sorted and parted by spaces.
	MetaAddons = "flycd_addons"
	// MetaReplaces is on a machine that was made in the place of another one, whose id it is.
	MetaReplaces = "flycd_replaces"
	// MetaGreen is on a green machine of a bluegreen deploy: the ids of the machines whose place all greens
	// of the group take together, parted by spaces. As long as one of them is there, the deploy has
	// not ended.
	MetaGreen = "flycd_green"
	// MetaMade is on the first machines of a group without a count: how many were to be made at once.
	// The next update drops it. As long as every machine has it, the first deploy was cut off, and
	// what is missing is made; after that the count is left to Fly.
	MetaMade = "flycd_made"
	// MetaCanary is flyctl's, on a machine that only tries a version out.
	MetaCanary = "fly_canary"
)

// stamped reports whether FlyCD has deployed the machine.
func stamped(m Machine) bool { return m.Machine != nil && m.GetMetadataByKey(MetaDigest) != "" }

// madeBy reports whether the job made the machine: it carries its name, and no version from before.
func madeBy(m Machine, job string) bool {
	return job != "" && m.Machine != nil && m.GetMetadataByKey(MetaJob) == job && m.GetMetadataByKey(MetaPrevious) == ""
}

// touchedBy reports whether the job made or changed the machine.
func touchedBy(m Machine, job string) bool {
	return job != "" && m.Machine != nil && m.GetMetadataByKey(MetaJob) == job
}
