// Package image owns the noun Reference: an image by digest, and the ways to one. An image is found (Registry), chosen among
// its tags (Choose), copied, or built (Builder).
//
// # Found
//
// Registry.Resolve makes a name a digest by one HEAD request, so that machines run what was judged and not what a tag means
// later. A name that stands for an index of images for several platforms becomes the digest of its linux/amd64 image, by one more
// request: that is the digest that Fly tells of a machine which was given an index, and a deploy is proven by it. Registry.Pick
// lists the tags and asks Choose, which is pure; what it lists is bounded. Registry.Copy puts an image into another
// repository under the digest that it has: layers that are there are not sent, so a copy that broke off goes on, and one that is
// done costs a HEAD.
//
// A Login opens a registry. Every registry takes a user and a password, in forms of its own that Login lists; only an access key of AWS
// has to be exchanged first, which Login.Open does.
//
// # Built
//
// A Request is a folder, a Dockerfile, and all that a build is asked for; its image goes to a tag that derives from what
// goes in. Request.Check looks at it before any program does. Backends gives each request its builder: Buildctl starts buildctl against
// a BuildKit that runs elsewhere, Flyctl uses Fly's remote builders (also for buildpacks), Missing says what to set up, Fact is for the
// registry of a simulator; the builder of a runner, which brings its own BuildKit in a sandbox, is the room image/buildkit. What a builder cannot do
// it rejects, or says in the build's log where the image runs all the same.
//
// Two machines that build one tree with BuildKit make one image wherever the Dockerfile is deterministic: the image tells the
// request's time and no other. Each app's cache stays in its repository, beside the image. Fly's builders keep times and caches of
// their own.
//
// # Secrets
//
// Tokens and secrets never stand on a command line, where every process of the machine reads them. Logins are in a private
// folder that is removed after the build; a build's secrets are in the environment of the one buildctl that hands them on, and its
// ssh keys with an agent in this process's memory, so that no file of them outlives a build that is killed. flyctl takes build secrets
// as flags only, so it gets none. What a build says goes through Request.Redactor on its way to the log and into errors, so what a step
// prints of a secret by mistake is not told. A step that wants to tell it can.
//
// # Failures
//
// What no attempt can cure wraps job.ErrRejected: no such image, denied, a Dockerfile that does not parse, a step that fails
// (whatever it printed), memory or disk that ran out, a request that the builder cannot fulfil. What may be better next time does not: a
// registry or builder that cannot be reached, an image that a registry does not take, a build that took too long. A build that is called
// off gives the cause of it. What buildctl prints is read on its way to the log (plain), so that its failures have the runner's form: the
// line of the Dockerfile and what the step ended with, then what the step said last.
package image
