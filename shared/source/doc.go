// Package source owns the noun Tree: the files of a repository at one commit, or of a folder on
// this machine, and their digest.
//
// Three verbs, each as cheap as what it answers. Resolve asks a repository which commit a ref is, by
// ls-remote and nothing else; one Client asks each repository once in a few seconds, however many
// apps want to know. Fetch brings exactly one commit: depth 1, no tags, and of the files only the
// folders that are wanted; Outline brings no files, and Fill brings them when it turns out that they are needed. Digest hashes a folder. For git that is the hash of the folder's tree
// object, so a commit elsewhere in a monorepo changes nothing; for a folder on disk it is the hash
// that git would give the same files, so a clean work tree and its commit have one digest.
//
// Nothing that a repository says is trusted. A pack is unpacked by this package while it arrives,
// and files are written by this package from the tree objects, so that every bound (Limits) holds
// before the bytes are on disk, and no name, mode or symlink reaches outside the tree. What no
// attempt can cure (an unknown ref, a missing folder, denied access, a hostile tree) wraps
// job.ErrRejected and says what to do; a network that fails does not and may be tried again. No
// error, and no log, holds a credential.
//
// # Private repositories
//
// A Keyring holds credentials by place: a host, an owner on it, or one repository, of which the longest that a
// repository is in decides. Tokens (also those that a GitHub App gets for a job) go to https, and to the host that they
// are for: a redirect to another takes none along. Private keys go to ssh. There every host is pinned: GitHub's
// published keys are built in, Client.HostKeys and Client.KnownHosts add others, and a host whose key is unknown, or not the
// one that is known, is refused before anything is sent; the error shows the key's fingerprint, to be compared
// with what the host publishes. Credentials are in memory alone: go-git speaks https and ssh itself, no program is
// started for a repository that has one, and the programs of a person's machine that are asked for others get none of
// FlyCD's settings in their environment.
//
// # Which files count
//
// In a folder on disk, files that .gitignore excludes (the folder's own, those below it and those
// above it up to the root of the work tree) do not exist: they are neither hashed nor built. What the
// ignore file of the build excludes (see Reading; else the folder's .dockerignore) is not hashed (the Dockerfile and the ignore
// file themselves always are), and the builder leaves it out. .flycdignore, of the folder that is hashed and not of those below it, has the syntax of
// .gitignore and the last word, in folders on disk and in git trees alike: a file that it names may change without a
// deploy, so Context leaves it out of the build; `!name` in it brings back what .gitignore excludes.
//
// What source.watch names outside of source.path only triggers: it is in the digest, so that its change builds and
// deploys, and it is not in the build's folder.
//
// File modes count as git counts them: executable or not, symlink or file. Empty folders do not exist.
//
// # Temporary folders
//
// Every Tree and Context lives in a folder of its own under Client.Dir whose lock file is held as
// long as the process lives. Close removes it; Client.Close removes all of them; what a killed
// process left is removed by the next one that starts.
package source
