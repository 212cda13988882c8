// Package machine translates a manifest into a Target: what Fly should hold for one app. It is one
// pure function. It does no I/O, reads no clock and logs nothing; files that a manifest names are
// read by somebody else and handed in (FilesOf says which), and the same input gives the same target.
//
// The machine configs are those that the real flyctl sends, key by key. That is proven twice: against
// flyctl's own translation of each file in testdata/machine-config, and, in package plan, against the
// bodies of whole deploys that were recorded from flyctl. What only a deploy knows is not in them:
// the image, the files' place in each machine, FlyCD's metadata. plan.Diff lays that in.
//
// # From sections to groups
//
// An app has the process groups that [processes] names, else one called app. A section without
// processes is for the default group (app, else the first by name) — except [[vm]], which is for
// all. Where a manifest has several sections for a group, metrics takes the first, restart the last,
// vm the last that names the group, and mounts is refused: a machine holds one volume.
//
// A config is built in rows, each over the one before: machine_config, then metrics, init, metadata,
// services (http_service first), checks, env, statics, mounts, stop_config, restart, guest. A guest
// is built likewise: preset, [[vm]], then FlyCD's vm_size, machines and machines.<group>. Where the
// manifest says nothing of the size, the config has no guest, so that `fly scale` keeps its word, and
// Group.NewGuest sizes the first machine.
//
// # Counts
//
// A count is per region, and exact where it is written (machines.count, .count_per_region,
// machines.<group>.count). Where it is not, Create machines are made once: one, or with `ha: true`
// flyctl's two for a group with services. `ha: true` gives a group without services and mounts a
// stopped standby beside its first machine.
//
// # Commands, schedules and what is attached
//
// Release command, seed command and machine checks are ephemeral machines, as flyctl makes them: no
// services, no mounts, restart no, gone when they end. A release command without a size of its own is as
// large as the largest machine of the default group (Target.GuestOfCommand). A check is run beside each
// machine of its group that was updated; its image, guest and environment are that machine's where it says
// nothing else.
//
// A schedule is a group of one machine that Fly starts by the clock. It has no process group and no
// platform version, so that flyctl's deploys leave it alone; metadata flycd_schedule names it.
//
// Secrets, certificates and add-ons are names only: values never come here. An add-on has its name and
// the secret that gets its URL filled in; one with From is run elsewhere and never made.
//
// # Files that name files
//
// FilesOf says what the manifest names (files.local_path, a machine_config file, the compose file), and
// FilesIn what those name in turn. A compose file's services are containers of each machine. The one that is
// built, or that container names, gets the image of the deploy.
//
// # The release's definition
//
// Definition gives Fly's part of the manifest in its current spelling, for fly config show, fly console and
// fly scale count. It is compared with what flyctl recorded for each case of testdata/flyctl.
//
// # As flyctl, and better
//
// Every key of the reference is compared in manifest.Keys, which flycd help keys shows. What differs is
// here, with its reason and the test that shows it. FlyCD does better where flyctl loses something, leaves
// something out in silence, or finds out too late.
//
//	what flyctl does                       here, and why                                       shown by
//	two [[mounts]] in one group: the       refused: a machine holds one volume                 machine BadValuesAreNamed
//	  second is sent without a volume
//	unknown keys are left out in silence   refused with file, line and the nearest key, so     manifest EveryMistakeHasItsPlaceAndWhatWouldBeRight
//	                                         that nothing is thought to be set that is not
//	second sections for a group, two       refused for the same reason                         manifest WhatFlyctlIgnoresInSilenceIsRefused
//	  sources of one file, dead keys, …
//	  are left out in silence
//	keys of machine_config that it         refused for the same reason                         machine MachineConfigKeysWithoutEffectAreRefused
//	  overwrites are left out in silence
//	unknown groups in processes are        refused wherever they are named                     machine BadValuesAreNamed
//	  found for services and restart
//	a bad vm size, a check without port    refused before anything is touched                  machine BadValuesOfEveryKeyHaveTheirSentence
//	  are found when the release is
//	  recorded
//	of several problems it tells one       all of them, each once, in order                    machine AllProblemsComeAtOnceAndOnce
//	dedicated addresses in CI are          none either, but a warning says what to write:      machine DefaultAddresses
//	  left out in silence                    they cost money, so a manifest has to name them
//	numbers for the times of               milliseconds, as Fly's reference says               machine EveryKeyLandsWhereItShould
//	  http_service.checks: nanoseconds
//	header order is random                 by name, so that equal manifests are equal          machine EveryKeyLandsWhereItShould
//	compose: commands as text are not      read as compose reads them                          machine ComposeServicesAreContainers
//	  split, times are made up, lists
//	  of NAME=value fail
//	compose: what a container cannot       refused, since the app would run without it         machine ComposeMistakesAreNamed
//	  have is left out in silence
//	mounts cannot be removed in CI         the machine is replaced, the volume stays           plan MountsThatComeAndGoReplace
//	machines whose config was listed       read again under the lease, written with the        fly WhoWaitsReadsAgain,
//	  before the lease are overwritten       version that was read                             fly UpdateCarriesNonceAndVersion
//	one failed look fails the deploy       only an outage does                                 fly SingleErrorsDoNotFailAProof
//	a failed canary goes on serving        it is undone, and one that was left goes with       plan ACutOffDeployIsFinishedByTheNext
//	                                         the next deploy
//	a failed deploy rolls nothing back     every step with an undo is undone                   plan UndoPutsEverythingBack
//	an update drops FLY_STANDBY_FOR        a standby keeps it                                  plan StandbyStaysAStandby
//	removed groups go before the new       after: something always answers                     plan RemovedGroupGoesWhenTheNewOnesRun
//	  ones are healthy
//	a replacement destroys first           it creates first, and destroys what is proven       fly ReplaceLeavesTheOldOneUntilTheNewOneIsProven
//	                                         to be replaced
//	a POST that answered 502 is sent       looked for by its name before it is sent again      fly GatewayErrorDoesNotDoubleAPost
//	  again, and makes two machines
//
// As flyctl, although it surprises: every group gets all [[files]], whatever their processes say (a warning
// says so). And not possible: a relative statics.guest_path, which flyctl uploads to a bucket through a
// service that only flyctl may use; it is refused with what to write instead.
//
// Errors are for people: each names the key and what would be right. No attempt can help them, so
// whoever turns them into a result rejects the job.
package machine
