// Package image owns the noun Reference: an image by digest, and the two verbs that give one.
//
// Registry resolves: a name becomes a digest by one HEAD request, so that machines run what was
// judged and not what a tag means later. Builder builds: a request (a folder and a Dockerfile)
// becomes an image in the app's repository, under a tag that derives from what goes in. Building is
// done by programs that are started: Buildctl (any BuildKit), Flyctl (Fly's remote builders); Missing
// says what to set up; Fact is for the registry of a simulator.
//
// Tokens reach those programs through a private file or their environment, never through a command
// line. What no attempt can cure (no such image, denied, a Dockerfile that fails) wraps
// job.ErrRejected; a registry or builder that cannot be reached does not.
package image
