// Package adopt drafts a manifest for an app that runs already, so that Git can say from now on what
// should run, and the first deploy changes nothing. It is pure: what is observed and the last release
// go in, a Draft comes out, as text.
//
//	Observed ──▶ account ─┐            ┌─▶ manifest.Read ─▶ machine.Translate ─▶ plan.Diff ─┐
//	                      ├─▶ compose ─┤                                                    ├─▶ Draft
//	Release ──────────────┘            └──────────── fewer sections from the release ◀──────┘
//
// # How it knows that it is right
//
// A draft is proven, not hoped for: it is read, translated and compared with what was observed by the
// same functions as a deploy, and the plan must be empty. The last release is the first choice, since it
// is what somebody wrote: it has the sections that machines do not show (deploy, console_command), the
// commands as they were typed and http_service in its short form. Where its plan is not empty (somebody
// changed a machine by hand, a file of it is not at hand, it says what FlyCD does not take) sections are
// taken from the machines instead: first sizes, then files, containers and statics, then everything
// that a machine shows. The first draft with an empty plan wins, else the one that changes least, and
// then Draft.Plan says what is left: one process group cannot have two commands, whatever is written.
//
// # What is written
//
//   - The image that runs, by digest, as source.type image. How it was built is a comment.
//   - Exact counts by group and region, but where a group has a standby: an exact count would not
//     allow it. Such groups keep their number by having none written, and ha keeps the standby. A
//     standby also needs the group in each region that is listed, else counts elsewhere are left out.
//   - Sizes of machines where all of a group have one; otherwise each keeps its own.
//   - Volumes with their size where all of one name have the same, since another would extend some and be
//     refused for others.
//   - Addresses and certificates as they are. Nothing is pruned.
//   - Secrets as a comment. Fly tells their names and never their values, and an entry of secrets would
//     ask for a value at the next deploy; what no entry names is left as it is. The comment is YAML, to
//     be uncommented one by one as the values find a home.
//
// Machines that no deploy made (without a group, run by a schedule, or gone when their process ends)
// are named in a comment and left alone. Text files of machines are written into the manifest, others
// beside it.
package adopt
