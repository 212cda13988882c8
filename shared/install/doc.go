// Package install owns the nouns Installer and Plan: FlyCD itself, in an organisation of Fly and on a forge.
//
// An installation is looked at (Look), what it should be is compared with what it is (Decide), and what comes out is a
// list of steps, each with a name, a reason and the command by which a person would do the same. Install, repair, upgrade,
// rotation, `--check` and `--print` are that one list: done, shown, or shown as if nothing were there. Uninstall is the
// list the other way round.
//
//	Look ──State──▶ Decide(Want, State) ──Plan──▶ Apply ──▶ Look …
//
// # What there is
//
// Two apps: the dispatcher's, one small machine that Fly stops and wakes and one that sweeps every hour, and the runner's,
// which has machines only while there are jobs, in the organisation's default network, where the queue's private address
// is. A Redis of Upstash, or one that is run elsewhere. Two tokens. A webhook in each repository. The dispatcher is deployed
// as every app is, by deploy.Deployer from a manifest; only the manifest is ours.
//
// # What is remembered, and where
//
// Nothing is kept on the machine that installs. Values of secrets cannot be read back, so what has to be known of them
// is in the environment of the dispatcher's machine, where it harms nobody: when the tokens expire and by which ids Fly
// knows them, what the given values hash to (slowly, and cut), which digests Fly had for the runner's secrets, and which
// key each webhook secret has. A key is a few letters at the end of the webhook's address (?k=…). It opens nothing, and tells
// which of two secrets a hook signs with, although a forge never shows a secret.
//
// A secret counts as there when each machine of the dispatcher was made with the digest that Fly shows for it: that is in
// its metadata. One that no machine vouches for was left by somebody who was killed half way, and is made anew. Those
// that a person put there stay as they are.
//
// # Killed, and started again
//
// Every step looks before it writes, or does no harm when it comes twice; what it made is found by its name. The order is
// such that nothing points to what is not there yet: the apps, the queue, the images, the runner's secrets, the dispatcher,
// and only then the hooks, the end of old secrets and tokens, and the first sync. A token whose answer was lost is
// revoked by the next run, which knows the ids of those that are used.
//
// # Webhook secrets
//
// There are two slots, FLYCD_WEBHOOK_SECRET and FLYCD_WEBHOOK_SECRET_2, and the dispatcher accepts both. A hook that has
// to be made or mended needs a secret that is known, so a new one goes into the slot that is not the newest; the
// dispatcher gets it; the hooks within reach are moved to it one after the other; and the slot that no hook uses any more
// is emptied. Where a repository is out of reach, nobody knows what its hook signs with, and both slots stay.
//
// # What is never done
//
// No secret is printed but the one that a person has to type into a forge, when they ask for it. No app that FlyCD
// deployed is touched by an uninstall unless that is confirmed. A name, an app or a Redis that belongs to somebody else is a
// refusal with a sentence.
package install
