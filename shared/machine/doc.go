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
// # As flyctl, and better
//
//	what                          flyctl                               here
//	services, checks, env, init,
//	metrics, restart, statics,
//	vm, swap, kill_*              the reference                        as flyctl
//	[[files]].processes           ignored: every group gets all files  as flyctl, with a warning
//	two [[mounts]] in one group   accepted, the second lacks a volume  refused
//	unknown groups in processes   found for services and restart       refused wherever they are named
//	bad vm size, check without
//	port, bad duration            found after the release is recorded  refused before anything is touched
//	several problems              the first, or the last               all of them, each once, in order
//	relative statics path         uploads the folder to Tigris         refused with what to write instead
//	dedicated addresses in CI     silently none                        none, with a warning that says what to
//	                                                                   write: they cost money, and a manifest
//	                                                                   that wants them can say so
//	header order                  random                               by name
//	flags (deploy_params)         all                                  those that say something of the target;
//	                                                                   the others are named in a warning
//	build.compose                 containers from a compose file       refused: not understood yet
//	local_path inside a
//	machine_config file           read                                 refused: write the JSON inline
//	machine_checks                test machines after each update      a warning: not run yet
//	experimental.enable_consul,
//	.enable_etcd, .auto_rollback  the last is ignored in silence       a warning
//
// Errors are for people: each names the key and what would be right. No attempt can help them, so
// whoever turns them into a result rejects the job.
package machine
