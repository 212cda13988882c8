package catalog

import (
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// ImagePush is what a verified delivery says of a push to a registry.
type ImagePush struct {
	// Image is what was pushed, with its tag. A push without a tag concerns nobody.
	Image Image
	// At is the registry's own time or number of the push, in any form. It tells two pushes of one tag apart
	// where there is no digest.
	At              string
	Delivery, Actor string
}

// Mark is what tells the push from the one before it of the same tag: the digest, else what the registry says,
// else nothing.
func (p ImagePush) Mark() string {
	if p.Image.Digest != "" || p.At == "" {
		return p.Image.Digest
	}
	return "at:" + p.At
}

// ImageFound is what is known to name the image of a push.
type ImageFound struct {
	Routes []ImageRoute
	// Stamp is when the push was first told, in Unix milliseconds: the same for one that is told again, and
	// another one when the tag has been elsewhere meanwhile.
	Stamp int64
}

// maxReasons is the number of apps whose reason is given to a hook.
const maxReasons = 5

// ImageJobs says which jobs pushes to registries make, given for each of them what was found: a deploy for each
// app whose policy may take the tag. They pin nothing, as the runner looks at the registry anew. For the apps that
// get none, ignored says why.
func ImageJobs(pushes []ImagePush, found []ImageFound, now time.Time) (jobs []job.Job, ignored string) {
	seen := map[string]bool{}
	var reasons []string
	for i, p := range pushes {
		if len(found[i].Routes) == 0 {
			reasons = append(reasons, "no app follows "+p.Image.Repository)
		}
		for _, r := range found[i].Routes {
			ok, why := r.Follows(p.Image.Tag)
			switch {
			case !ok:
				reasons = append(reasons, why)
			case !seen[r.App]:
				seen[r.App] = true
				jobs = append(jobs, imageJob(p, r, found[i].Stamp, now))
			}
		}
	}
	// Many jobs at once wait behind what a person or a push of code asks for.
	for i := range jobs {
		jobs[i].Low = len(jobs) > MaxApps
	}
	return jobs, listed(reasons)
}

// imageJob is the job of one app. Its order is that of its arrival: no commit was pushed that others could be
// compared with.
func imageJob(p ImagePush, r ImageRoute, stamp int64, now time.Time) job.Job {
	return job.Job{
		ID: job.Push{
			Kind: job.Deploy, Subject: r.App, Ref: "image:" + p.Image.Repository + ":" + p.Image.Tag, After: p.Mark(), Time: stamp,
		}.ID(),
		Kind: job.Deploy, App: r.App, Org: r.Org, Config: r.Config,
		Reason: job.ByPush, Delivery: p.Delivery, Actor: p.Actor, Created: now.UTC(),
	}
}

// listed joins the first of the reasons, each once.
func listed(reasons []string) string {
	seen := map[string]bool{}
	var first []string
	for _, r := range reasons {
		if !seen[r] {
			seen[r] = true
			first = append(first, r)
		}
	}
	if more := len(first) - maxReasons; more > 0 {
		first = append(first[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(first, "; ")
}
