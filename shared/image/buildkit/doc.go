// Package buildkit owns a Builder: the one that a runner brings with it. It starts buildkitd in a sandbox when the
// first build is asked for, speaks to it with BuildKit's own client, and ends it with the job.
package buildkit
