// Package buildkit owns a Builder: the one that a runner brings with it. The room image says what a Builder is, and gives the
// request and the registry; the room image/sandbox holds what runs here.
//
// The first build starts buildkitd in a sandbox on a private socket and waits until it answers; every build speaks to it with
// BuildKit's own client; Close ends it, and with it all that a build left running. A buildkitd that died, or whose disk ran
// full, is started anew, with nothing in it, by the next build.
//
// A build is data first: attributes says a request in BuildKit's words and does nothing. What must stay a secret
// (logins of registries, secrets and keys of steps) crosses the session that BuildKit opens to its client for the
// time of a build, and is in no attribute, file, environment or command line. The folder that is built is
// sent over the same session, with every time set to the request's Epoch, so that two machines make one image of one
// tree. What the steps print passes their secrets' Redactor, each step by itself and line by line, before it is shown or kept.
//
// What BuildKit says of a failure is judged by type: where the Dockerfile names its line and a step its exit code,
// they are shown, with the last lines that the step printed; where an image could not be read, the code that its
// registry answered decides; what the sandbox ran into (memory, disk, the death of buildkitd) comes before what BuildKit makes of
// it. The Dockerfile's own faults wrap job.ErrRejected; the world's do not.
package buildkit
