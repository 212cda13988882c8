// Package manifest reads what people write: app.yaml, app.toml, fly.toml and project.yaml, as App and
// Project. It is pure: it takes an fs.FS, gives values, and neither asks a network nor prints.
//
// # The way of an app
//
//	file ── substitutions ── variables ──▶ text ── parse ──▶ nodes ── merge ──▶ effective tree ──▶ App
//	        (regex → text)   (${NAME})             aliases            defaults <         decode,
//	                                               written out        file <             flags,
//	                                                                  overrides          checks
//
// Everything after the parser works on yaml.Node, also for TOML, whose expressions become nodes with the
// places and comments of the TOML text. So there is one merging, one decoder and one set of checks, and
// every mistake can be shown at its line and column, in the project's file where it came from there. The
// effective tree stays beside the typed App (Entry.Node), with the spelling that was written, so that no
// key is lost between the two. Comments are kept by the conversions only.
//
// Most manifests are plain: block mappings, lists and scalars on one line each. A small reader takes those
// in a tenth of the time of the full YAML parser and gives up at anything else; a fuzzer holds it to
// giving the full parser's nodes.
//
// # What counts as a manifest
//
// A walk counts app.yaml and app.toml. A fly.toml counts where the caller names it or its folder, or
// where a project says discover: [fly.toml]; beside an app.yaml it never counts, and a warning says so.
// Where a folder has a folder named projects, only that is descended into; .git, .actions, .idea,
// .vscode and symbolic links are not. A path never leaves the fs.FS, which is rooted at the Git work
// tree, so that ../src works and nothing outside does.
//
// # Projects
//
// A project.yaml points to a folder, in its own repository or in another one, and has settings for all
// apps in there. The projects of a folder tree are visited before its apps, each once by name, which ends
// every cycle. An app that a project has visited is not visited again from further out: it would lack
// the project's settings. Two projects side by side may visit the same file, which then is two apps if
// its text, through variables or substitutions, gives two names. One name in two files is a mistake that
// names both. A project that points back to its own repository finds the same files under another
// address; files with equal paths then are one app (Options.Repo makes that exact).
//
// A project that cannot be read hides what is below it, and so does a manifest whose app is not known:
// such problems say so (Problem.Hides), because nothing may then be pruned for being absent.
//
// # Settings of projects
//
// Defaults lie under the file, outermost first; overrides lie over it, outermost first. Maps merge
// deeply, lists append what they do not hold yet, scalars replace, a null leaves what is below. The sync
// policy of a project counts as a default. Substitutions change the text of the app's file in the order
// in which they are written, outer projects first; a pattern that an inner project repeats changes its
// text and keeps its place. Variables are strict, but only where a project has vars: other manifests may
// be full of ${…} that belongs to a shell. They are also filled into defaults and overrides. A line that
// is nothing but a comment is left alone.
//
// # Policies
//
// A project's allow says what its apps may be and have: repositories, names, organisations, regions, sizes and number of
// machines, services, secrets. It is kept here, while reading, by everyone who reads: the sync that makes a job and the
// runner that does it. An app that breaks a rule is a Problem that is Refused, with the value, the rule and where it is
// written, and is none of Tree.Apps. The rules see the effective manifest: after defaults, overrides, substitutions,
// variables and flags, with the organisation and the size that are taken where nothing is written.
//
// Lists hold names and globs; ! denies and wins; a list that is not written says nothing, an empty one allows nothing, one
// that only denies is a mistake. All enclosing policies hold, so an inner project can only narrow. What cannot be judged,
// because it stands in another file (compose, machine_config) or Fly would choose it, is let through by '*' without
// denials alone. A policy is read strictly also where people are lenient.
//
//	repos         of git sources, inner projects, images and image.repository, as HOST/OWNER/NAME (Docker Hub's are
//	              docker.io/…); the one that the manifest lies in is always allowed. Not those of FROM: a build
//	              reaches nothing of ours
//	vm_sizes      a size allows the memory that it brings, SIZE:MEMORY up to that; !SIZE denies it with any memory
//	max_machines  groups × regions as counts say, else as they are made, and schedules; no temporary ones
//	addons        KIND allows a service that is named after the app, KIND/NAME others; statics' buckets are tigris/NAME
//	secrets       names in the runner's environment (type env), sops:FILE for files that the runner's keys open
//
// A repository of another owner (ownerOf: host and owner) than that of the project.yaml which points to it is foreign, and
// stays so in all that it points to. It starts with nothing: the project that points to it must have an allow with a list for
// all that the apps are or have, and what is not listed there is refused. Without any allow it is not even opened. It takes
// nothing from others: its projects' names are its own, an app of the tree's own keeps its name against it, files that it
// points back to count as not visited, and its notify is left out. What it can do is to hide: where its files cannot be read,
// nothing is pruned. Where Options.Repo is empty, a folder without a remote, nothing is foreign.
//
// # Spellings
//
// What flyctl accepts is accepted: old names of sections, single sections for lists, numbers for
// durations, lists of names and values for maps, numbers as text for ports. The accepted forms stand as
// struct tags beside the fields that they are for, and the decoder, the schema and the reference are made
// from them. A key is read by its exact name; any other is a mistake that names the nearest known one, or
// a warning where Options.Lenient is set. Keys at the top that begin with x- are free, for anchors.
// Keys that FlyCD and flyctl always took and ignored are warnings.
//
//	tag       meaning
//	one       a single value is read as a list of one
//	lax       a number may be written as text
//	unit=s    a bare number is a duration in that unit (s, ms)
//	pairs     a list of maps is read as one map; pairs=name|command takes names and values from two keys
//	alias=a|b other names of the key, which add to it
//	enum=a|b  the only values; also=x:a reads x as a
//	min, max  bounds of a number
//	required  the key must be written
//	inline    the struct's fields are keys of the outer one; rest takes all other keys
//
// # Bounds
//
// Manifests are foreign bytes. A file, the depth of values and projects, the aliases of a file and the
// entries of a walk are bounded (Limits); aliases share what they stand for, and what they would grow to
// is counted, so that a bomb is refused before it is unfolded. Regular expressions are Go's, which run in
// linear time, and what they write is bounded like a file.
//
// # Secrets
//
// Manifests hold references to secrets. Only a raw secret carries its value, as a Secret, which cannot be
// printed; in the effective tree it is replaced, and no error quotes it. An address of a repository or of an image with a
// name and password or a token in it is refused, and not shown.
package manifest
