// Package secret owns the value of a secret, and one verb: resolve. A manifest holds references
// (secrets[] in app.yaml); a Resolver turns them into values while a deploy is applied, and not before.
//
// # Where values come from
//
//	type  value
//	env   a variable of the runner's environment: env, or else the secret's own name
//	file  a file of the config repo as a whole, without the one newline that ends it
//	sops  one key of a file of the config repo that sops encrypted: key, or else the secret's own name
//	raw   the manifest itself; for tests
//
// The package opens no file: FilesOf names those that are wanted, and the caller hands in their bytes. So
// what a manifest can reach is what the caller lets it reach, and nothing on the runner's disk is among it.
//
// # Who gets them
//
// The app's machines get what Resolve gives: all secrets but those that are build_only. A build gets those that the
// manifest names for it (build.secrets, build.ssh), whatever else the app has. ForApp and ForBuild name both, and
// ResolveNames finds the values of one side without looking at the other, so that an app is deployed where
// nothing is to be built and the build's keys are elsewhere. FilesOf and EnvOf cover both sides: a change of either
// is a change of the app.
//
// # What an app may ask of the environment
//
// Whoever writes an app.yaml may not become whoever runs FlyCD. The names that give FlyCD its own power
// are refused whatever the settings say (FLY_*, FLYCD_*, SOPS_*, REDIS_URL and a few more: see Reserved),
// and so is a variable under another name whose value holds one of those tokens. Beyond that Resolver.Allow bounds what
// the apps of one runner may read; runners that serve people who do not trust each other set it.
//
// # sops
//
// The program sops is started once for each file, however many secrets come from it. It gets the file on
// its standard input and gives the values on its standard output, so neither is on a command line or
// on a disk. Its environment is made anew: PATH, a HOME of its own, and the settings in Resolver.Keys. The
// format follows from the file's ending as it does in sops: .yaml, .yml, .json, .env, .ini, and
// everything else is one value as a whole, like a file. What sops writes on its standard error is read
// to tell failures apart, and is never repeated: it can quote what it decrypted.
//
// A key is a path: db.url is url in db, hosts.0 the first of hosts. A key that itself has dots is found as well. In an
// ini file a key without a section is the default section's. Numbers and booleans are
// taken as sops writes them, which for a number is not always as it was typed (1.10 is 1.1): quote what
// must stay. The values of a .env file keep their quotes.
//
// A PGP key comes as an armored private key (Resolver.PGP). It is written as a key ring into the
// private folder, where sops reads it by itself: neither gpg nor its agent is needed or started.
// Keys of cloud services (KMS, Key Vault, Vault) are not supported: sops is given no credentials for them.
//
// # What is refused
//
// An empty value, one that is no text or holds a zero byte, and one that does not fit into a variable of a Linux
// process: a secret is an environment variable of a machine, and there it would fail much later. All that is
// wrong is told at once. What no attempt can cure wraps job.ErrRejected and names the secret, its file, and
// what to do; a sops that takes too long or cannot be started does not. No error holds a value.
//
// # Comparing
//
// Whether a value is still the one that was set is told by MAC, an HMAC under FLYCD_DIGEST_KEY, which
// says nothing to those who lack the key, not even that two secrets are equal. Sum is one for several values.
package secret
