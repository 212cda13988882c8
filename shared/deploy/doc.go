// Package deploy is the corridor: the only place that knows what a deploy is.
//
// A webhook, a sync and `flycd deploy` all end in Deployer.Deploy, which takes a job with the two
// halves of its wish as they stand and gives back a Result:
//
//	resolve → unchanged? → fetch → read → image → observe → diff → apply → prove → result
//
// # What is known of an app
//
// Two commits are known for an app, that of its config and that of its source. They say where to
// look; what is compared is content. The config digest is the hash of the effective manifest, after
// every project has been merged into it, and of the config folder's files where the app uses them.
// The source digest is Git's own hash of the subtree that the app is built from, the content hash
// of a local folder, the digest of an image, or the text of an inline Dockerfile. The wanted digest
// is the hash of the two. All of them are written into the machines' metadata, so that Fly and not
// Redis is the truth, and a commit alone never makes a plan.
//
// # Three ways to find out that nothing changed
//
// From the dearest to the cheapest. The plan is empty and every machine is proven: this is what
// unchanged means, and the other two only save work. The source commit is the one that the machines
// carry: the source is not fetched and the image not built. Both commits are those of the last
// result, and Fly shows the machines exactly as they were when they were proven (Result.Fingerprint):
// nothing is fetched at all.
//
// # The image
//
// An image is looked for before it is made, from the cheapest place to the dearest. What the machines run, where
// it was built from the same. What the registry has under the tag that all its ingredients hash to: their
// values and FlyCD's recipe, not the app, the commit or who builds, so that a revert, a rollback, the next stage and
// the second app of a tree find it by one HEAD request; the source's folders suffice for the hash, and its files
// are fetched only to build. What another job is just building (Turns), which is waited for. Only then is a
// folder made and handed to the builder. Machines run digests, whatever a tag means later.
//
// Not in the hash are the values of a build's secrets and what a base image's tag stands for: other ones alone build
// nothing. Who wants a new base image pins it by digest and changes that, or builds anew (flycd build --push --no-cache) and
// forces a deploy, which takes what the registry has under the tag now. Apps that share a repository therefore trust
// each other: a step can put what a secret of its own app says into the image that the other one finds.
//
// An image that the manifest names is chosen by its policy at every deploy, and copied into the app's own
// repository where Fly could not pull it. What steps of a build are given (build.secrets, build.ssh) is resolved for the
// build alone, and taken out of everything that it prints.
//
// # What may be changed, and when
//
// One app is changed by one deployer at a time. The runner's claim (Lease) and the leases of all the
// app's machines (fly.Change) are both looked at before every write: a write that the remaining trust
// cannot outlast is not begun. The plan is made twice, the second time from what the machines were
// after they were leased. A step that was begun is finished, also when the process is told to stop; the next
// attempt observes where things are and goes on from there. That is why a deploy can be killed at any
// moment: every step can be repeated, and every decision is made from what Fly holds.
//
// # Failure
//
// An error that wraps job.ErrRejected cannot be cured by trying again. Any other error of Deploy may
// be tried again. A release whose machines do not become what was intended, and stay healthy, is a
// result and no error: on_failure decides what becomes of it (rollback puts the observed configs back
// under the same leases and proves them likewise), and the outcome is failed, because the same bytes
// would fail again.
//
// An attempt may be killed with half of a release rolled out. Each machine's metadata name the job that
// changed it last, and the version that it had before that job. The next attempt at the job proves what
// the dead one changed before it changes more, puts those machines back too where it rolls back, and
// tells created or updated although nothing was left to do. Machines that the dead one made stay.
//
// # Syncs
//
// A sync reads a whole config tree, writes its entries and routes as a new generation of the catalog,
// switches to it if no newer sync has been there, and pushes a job for every app whose config digest
// is neither the deployed nor the wanted one. It judges by what was deployed or wished, never by the
// old catalog, so a sync that crashed anywhere is repaired by running it again. What could not be
// read is carried over: a mistake in one app neither stops the others nor removes anything.
package deploy
