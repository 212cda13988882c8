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
// # Who belongs
//
// A machine belongs where its process group is the target's, whoever made it; one that flyctl made
// before there were groups belongs to the default group. A machine of another group goes, after the
// others run, if a deploy made it. Machines without a group, scheduled ones and those that destroy
// themselves are left alone, and the plan's notes name them.
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
// that would start over with an empty volume, is refused. A group's new machine takes a volume of the
// mount's name that is free in the region, else one is made. Volumes are never destroyed, shrunk or
// grown here; a note says where the manifest wants more.
//
// A machine that does not run is updated without being started, as flyctl does; one that crashed is
// started, which flyctl does not do: the new version may be the cure. Standbys keep whom they stand
// by for, in FLY_STANDBY_FOR too, which flyctl loses.
//
// # Order
//
// App, addresses, volumes; the first machine of each group alone; the rest in batches, so that no
// more of a group is away at once than max_unavailable allows (the immediate strategy has one stage
// instead); standbys; and only then what is too many is destroyed and addresses are given back.
// flyctl destroys removed groups before their successors run, and replaces by destroying first. The
// next stage begins when the one before is proven, so a bad image stops at one machine of a group.
// canary and bluegreen are not done yet and are treated as rolling; a note says so.
//
// Names are app-group-region-ordinal, see nameOf; a create that comes late or twice collides.
//
// # Errors
//
// Diff's error is a sentence. A *Refused needs somebody to change the manifest or what is on Fly, so
// no attempt can help; any other may pass by itself, such as a host that Fly cannot reach.
//
// # Laws
//
// The tests hold these for random manifests over a small model of Fly: applying a plan leaves nothing
// to do and is proven; a plan cut off anywhere is finished by the next to the same end; the order in
// which machines are listed changes nothing; Undo after any part of a plan puts every machine back;
// nothing is destroyed before the last create or update.
package plan
