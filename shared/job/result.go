package job

import "time"

// Outcome is the one-word ending of an attempt. The values are public: users read them in Redis.
type Outcome string

// The outcomes.
const (
	// Created, Updated and Unchanged are done: the app is as it should be, and that was proven.
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
	// Superseded means that a newer wish took its place.
	Superseded Outcome = "superseded"
	// Cancelled means that a person called it off, or that it is not needed any more.
	Cancelled Outcome = "cancelled"
	// Rejected means that no attempt can help.
	Rejected Outcome = "rejected"
	// Failed means that the attempts are spent.
	Failed Outcome = "failed"
)

// Done reports whether the outcome leaves the app as it was wished.
func (o Outcome) Done() bool { return o == Created || o == Updated || o == Unchanged }

// Result is the record of an attempt. It never holds a secret's value.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Detail is one or more sentences for people: why, and what to do.
	Detail string `json:"detail,omitempty"`
	// Refused reports that a rejection is about rights (a token, a policy, a name that is somebody
	// else's), not about the manifest.
	Refused bool `json:"refused,omitempty"`
	// Digest is the wanted digest of DESIGN §6; ConfigDigest and SourceDigest are its parts.
	Digest       string `json:"digest,omitempty"`
	ConfigDigest string `json:"config_digest,omitempty"`
	SourceDigest string `json:"source_digest,omitempty"`
	// ConfigCommit and SourceCommit are the pair that was deployed or judged.
	ConfigCommit string `json:"config_commit,omitempty"`
	SourceCommit string `json:"source_commit,omitempty"`
	// Image is the reference with its digest that the app runs.
	Image string `json:"image,omitempty"`
	// Fingerprint is the hash of the app's machines as Fly showed them when they were proven. While
	// Fly shows the same, an app whose commits have not moved is unchanged without a look at Git's
	// content. It is empty where the commits alone do not say everything of the app.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Release numbers the deployed versions of an app from 1.
	Release int `json:"release,omitempty"`
	// Changes lists what was done, a line each, old → new by key.
	Changes []string `json:"changes,omitempty"`
	// Warnings are for people; they never fail a deploy.
	Warnings []string `json:"warnings,omitempty"`
	// Pending is what is left for a person to do outside of Fly, a line each: DNS records that
	// certificates wait for.
	Pending []string `json:"pending,omitempty"`
	// Secrets is the HMAC of the values that the app's env secrets had, without which nobody can tell cheaply
	// whether they are the same. Empty where there are none, or no FLYCD_DIGEST_KEY.
	Secrets string `json:"secrets,omitempty"`
	// Plan is what a pull request would change, as Markdown for a comment: at most 60,000 characters, in which
	// nothing that a manifest says is Markdown.
	Plan string `json:"plan,omitempty"`
	// URL is where the app answers, where it answers the public.
	URL string `json:"url,omitempty"`
	// Jobs are the jobs that a sync pushed.
	Jobs    []ID      `json:"jobs,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}
