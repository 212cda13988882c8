// Package plan decides what has to happen for Fly to hold what is wanted. Observed goes in, and an
// Intent (a machine.Target with an image and FlyCD's own metadata); a Plan comes out, as data: stages
// of steps. It is pure. Dry run, drift, rollback and the proof of success are more data of the same
// kind, never another path.
//
//	Observed ─┐                          ┌─▶ Plan      what to do, in stages
//	          ├─▶ who belongs ─▶ decide ─┼─▶ Proof     what must be true afterwards
//	Intent ───┘   (member)      (group)  └─▶ Summary   the same for people, as lines and as JSON
//
// # When nothing differs
//
// An update is the wanted config laid over the JSON that Fly sent (lay): the manifest's sections are
// replaced, metadata is joined, everything else stays, known to fly-go or not. A machine differs if
// that result is not what is there, once both are in normal form. The normal form leaves out what
// never makes a plan: what fly-go does not know, empty against absent, the order of headers, Fly's
// default restart policy and guest fields, stamps of flyctl's releases, keys that end in _commit, the job, and
// FLYCD_ names in the environment (the digest in the metadata speaks for them). Images are compared
// by digest. A new commit alone therefore plans nothing.
//
// A machine without flycd_digest is one that FlyCD has not deployed yet. What FlyCD writes about itself is
// then no reason to touch it, so an app that is adopted as it is has an empty plan. Listed secrets are a
// reason: nothing tells whether the machine has them.
//
// # Who belongs
//
// A machine belongs where its process group is the target's, whoever made it; one that flyctl made
// before there were groups belongs to the default group. A machine of another group goes, after the
// others run, if a deploy made it. Machines without a group, scheduled ones that FlyCD did not make and those
// that destroy themselves are left alone, and the plan's notes name them.
//
// # What becomes of a group
//
// With a count it is exact in each region, and standbys and machines elsewhere go. Without one the
// number is Fly's: nothing is added to a group that has machines, but for regions in extra_regions
// that have none, and nothing goes but machines that FlyCD itself had put into a region that the
// manifest has left since (their names say so). A first deploy that was cut off is finished: its
// machines carry flycd_made until their first update.
//
// A machine keeps its volume: it is updated in place, also when the mount's path changes. A mount
// that comes or goes needs a new machine, which is made first. It carries flycd_replaces, so that one
// whose deployer was killed is not made twice. A volume of another name, or a move
// that would start over with an empty volume, is refused.
//
// A machine that does not run is updated without being started, as flyctl does; one that crashed is
// started, which flyctl does not do: the new version may be the cure. Standbys keep whom they stand
// by for, in FLY_STANDBY_FOR too, which flyctl loses.
//
// A schedule is a group of one machine with metadata flycd_schedule and neither process group nor
// platform version, so that flyctl's deploys leave it alone. It runs once when it is made, and is updated
// without being started; whether it runs proves nothing. A machine whose schedule the manifest has no more goes.
//
// # Volumes
//
// A group's new machine takes a volume of the mount's name that is free in the region, else one is
// made; volumes[].count makes spare ones. Those in use grow to volumes[].size_gb (a mount's initial_size
// is for new ones only) and take over the manifest's snapshot settings. One that is larger is
// refused, unless it grows by itself.
//
// # What is lost for good
//
// A volume, a service (add-on), a certificate, a dedicated or egress address is given up only where the
// manifest allows it (sync.prune, network.auto_prune_ips) and Intent.Confirm is a person's word. Without
// that word a note says what would go. An attached volume is never destroyed: where its machine goes in
// this plan, the plan is made again behind that (Stage.Again). Services are only those that FlyCD
// has made for the app, which its machines remember (flycd_addons).
//
// # Secrets
//
// Fly shows a digest of each secret, never its value. A machine's metadata flycd_secrets, the seal, says
// of each wanted secret NAME=MAC.DIGEST: the MAC of the value, and the digest that Fly showed when
// the machine got it. A secret is unchanged if one machine of the app has the wanted MAC with the digest that Fly
// shows now; otherwise it is set (also after somebody set it by hand). A machine whose seal differs is
// updated, which restarts it, in the same stages as all other changes. Without FLYCD_DIGEST_KEY there are
// no MACs, and a secret is unchanged while flycd_digest is. A value that cannot be had (a bucket's keys, which
// Fly tells once) is unchanged while Fly's digest is. Either way the seal keeps the MAC that it had. Where such a
// value is on no app any more, the plan is refused. Fly's digest of a secret that is about to be
// set is not known; the seal of the plan then says MAC.?, and whoever applies it observes behind that stage and
// asks Diff again with Intent.After.
//
// # Strategies
//
// rolling: the first machine of each group alone; the rest in batches, so that no more of a group is
// away at once than max_unavailable allows. immediate: one stage.
//
// canary: where a group's machines get another version, a machine with metadata fly_canary that is not
// registered in DNS is made, proven, checked and destroyed; then rolling. A first deploy has none. A
// canary that stayed behind is destroyed by the next plan, and by Undo and Tidy. With mounts it is refused.
//
// bluegreen: where a machine of a group changes, a green one is made for each, hidden from the proxy
// (a stopped one for a stopped one, but where all of a group with checks are stopped the first is
// started); when all are proven they are shown, the blue ones hidden, and destroyed at the end. A green
// carries flycd_green, the ids of all that the greens take the place of: as long as one of those is
// there, the deploy has not ended, and the next one takes it up, whatever had happened of it. Greens of
// the same wish are kept, others are replaced with the blues. Under another strategy those of the two
// that are more stay, and are shown: a blue one only ever went when all greens were there. With mounts, or where the
// app has no check at all, it is refused. Unlike flyctl, machine checks run beside greens too.
//
// # Commands
//
// A release command runs before the machines of any group are made or changed, machine checks after each
// stage beside the machines that run in it (not with immediate), the seed command after the app's first
// deploy. They are named app-release-JOB, app-check-JOB-HASH and app-seed-JOB after the last twelve
// characters of the job's id, so each runs once for a job. One that has ended well for this job is in no
// plan; checks that an attempt owes when it is cut off are in the plan of the next.
//
// # Order
//
// The stages, those of them that have something to do:
//
//	app
//	add-ons                 the plan is made again behind it
//	secrets                 the plan is made again behind it
//	addresses
//	certificates
//	volumes                 made, extended, kept differently
//	release command
//	canary                  then: machine checks
//	canary away
//	greens                  then: machine checks
//	first of each group     then: machine checks; "machines" instead of these with immediate
//	rest                    then: machine checks; as often as there are batches
//	shown, hidden           the cut of a bluegreen deploy; what was hidden is not proven
//	standbys
//	schedules
//	surplus                 what is too many is destroyed
//	seed command
//	addresses given back
//	certificates removed
//	volumes destroyed
//	add-ons destroyed       before surplus where the app loses its last machine
//
// flyctl destroys removed groups before their successors run, and replaces by destroying first. The
// next stage begins when the one before is proven (Stage.Proof), so a bad image stops at one machine of a
// group.
//
// Names are app-group-region-ordinal, see nameOf; a create that comes late or twice collides.
//
// # Fields that are left to others
//
// sync.ignore is a list of dotted keys. Each part may be a glob (* ? [a-z]), which matches within its
// part. A key names a field and all that is below it:
//
//	machines.count              the number of machines of all groups, or of one: machines.GROUP.count
//	machines.size               the guests of all groups, or of one: machines.GROUP.size (guest is the same)
//	env.NAME, metadata.NAME     one name; env and metadata alone leave all of them, but for FlyCD's own
//	services, checks, metrics, statics, files, restart, init, stop_config, dns, containers
//	                            a section of the machine config; of a table also a part, such as init.cmd
//	volumes.size_gb             also volumes.snapshot_retention, .scheduled_snapshots and .count; of one
//	                            volume: volumes.NAME.size_gb. volumes.* keeps prune away, too
//	ips                         the addresses
//	certs.HOST                  certificates; certs.*.example.com has as many parts as the host names
//	secrets.NAME                secrets
//	schedules.NAME              the machine of a schedule
//
// A field that is ignored neither changes nor makes a plan: a machine keeps what it has, also nothing.
// A new machine gets the manifest's value, a group without machines the manifest's number, and an app that
// is deployed for the first time its addresses, certificates and secrets.
//
// # Undo
//
// Undo gives the plan that takes begun steps back. Machines are put back, shown again, or taken
// away if they were made; volumes' settings are put back. What may hold something, or was lost for good, stays as it is
// and is noted. Tidy takes away canaries and greens alone, where the rest of a failed deploy is to stay. What a deploy
// that was cut off made beside the machines that serve is told by Begun, so that it goes with the rest.
//
// # Errors
//
// Diff's error is a sentence. A *Refused needs somebody to change the manifest or what is on Fly, so
// no attempt can help; any other may pass by itself, such as a host that Fly cannot reach.
//
// # Laws
//
// The tests hold these for random manifests over a small model of Fly: applying a plan leaves nothing
// to do and is proven; a plan cut off anywhere is finished by the next to the same end, or overtaken by
// another wish with nothing left over; the order in which Fly lists things changes nothing; Undo after
// any part of a plan puts every machine back and destroys none that was there before; a group that answers goes on
// answering; nothing is lost for good without a confirmation.
package plan
