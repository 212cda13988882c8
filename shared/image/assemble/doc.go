// Package assemble owns the noun Own: the images of FlyCD itself, made by whoever has Go, without Docker and without a
// builder. `flycd install` uses it where it is not told which images to run.
//
// The programs are compiled for linux/amd64 (Compile), without C and without a trace of this machine, so the same
// sources and the same Go make the same bytes; image.Assemble puts each into a layer of its own, without times, so the same bytes
// make the same digest. A second install sends nothing, and one with a new runner only its layer.
//
// The dispatcher is one binary. The runner has programs of others beside it, in the versions of Dockerfile.runner: sops, buildkitd and
// buildctl are Go and are compiled where this machine has no such program in that very version; runc has C code, so it is
// taken from this machine where it is static, compiled where there is a C compiler and libseccomp, and done without where
// neither is. Then the image has no BuildKit either, and Own.Runner says what does not work.
//
// Certificate authorities are those that Mozilla trusts, as golang.org/x/crypto carries them, in the file where
// programs look: the dispatcher's, the runner's, BuildKit's and sops' alike.
package assemble
