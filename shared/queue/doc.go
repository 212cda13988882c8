// Package queue keeps jobs, the catalog and the history of FlyCD in Redis, and is the only one that
// speaks to it.
//
// # Moves
//
// A job goes waiting → launching → claimed → an outcome. It is parked while its subject (the app,
// or the config tree) has an active job, and delayed while it backs off. Every move is one Lua
// script, so nobody ever sees half of one:
//
//	Push      new jobs, the halves that they wish, and the delivery's answer, at once
//	TakeMany  waiting → launching: attempt + 1, and a deadline for the machine to claim it; waiting →
//	          delayed while an app that it depends on is to be deployed before
//	Unlaunch  launching → waiting: it is certain that no machine was made; spends no attempt
//	Grant     launching: binds the attempt to the first machine that asks
//	Claim     launching → claimed: a fencing number; refused to every machine but the right one
//	Hold      renews a claim, and says whether it still stands
//	Finish    claimed → outcome; what was deployed is cleared, the parked wish follows
//	GiveBack  claimed → waiting, delayed or dead
//	Retry     claimed → claimed: counts a failed attempt of a runner that tries again itself
//	Due       what is past its deadline is lost, what is delayed and due waits again
//	Lapse     the same for one attempt whose machine is known to be gone
//	Cancel    a job that waits ends; an active one is told at its next Hold
//	Suspend   what nobody asked for by hand is delayed where it would have been launched
//	Resume    what was held back waits again
//
// A client that lost an answer sends the script again; the same caller repeating a move changes
// nothing. (Append is the exception: lines of a log may then be there twice.) Deadlines are stored
// and compared by Redis's own clock. What a caller gets is on the caller's clock, anchored at the
// start of the call, so that a slow answer never lengthens trust.
//
// # Wishes
//
// A wish has two halves, config and source. A push writes its own half, if that is not older than
// the one that is known by push time (of a wish that names none, or one that has not come yet: the time of
// its arrival); on a tie the push whose before is the other's after is newer.
// Pushes of one tick that are no neighbours cannot be ordered here: the half then keeps its ref and
// drops its commit, and the runner asks the forge; so does one whose wish was done meanwhile by another, as
// its own commit may be an old one. A job that is older than what waits for its subject is recorded
// superseded at once; its half counts all the same. The runner deploys both halves as they stand at its
// claim; Finish clears by value what was deployed, so that a half that was pushed meanwhile stays. The
// order of a cleared half is remembered: late older pushes stay late.
//
// A destroy follows from the config, and so a push to the source does not overtake it. A plan reads
// only: it has a subject of its own and waits for nobody.
//
// # Dependencies
//
// An app may depend on others, of its tree or of another one. A deploy of it is launched when each of
// them has been deployed well at this wish or a later one (by the order of the jobs), or has nothing to
// do: no deploy that has not ended, and the last one ended well. So a push that changes both deploys
// them in their order, and pushes to the one that never cease do not starve the other. A name that no
// tree has is no obstacle.
//
// Until then the job is delayed, in no stream, and costs neither a machine nor an attempt; waits says for
// which app. The script that ends a deploy, however it ends, lets those that wait for its app be looked at
// again; the time in due is only the longest wait. When the other's last deploy ended badly, the job
// fails without an attempt, and so do those that wait for it; when a later deploy of the other ends well,
// the same script lets them wait again, unless their own app has had another job since: nobody has to
// push again. So an ended job that has waits may come back, and is kept for as long as eight ended ones.
// One that was never deployed and has no job is waited for ten minutes. A circle, which two trees may
// make that know half of it each, is rejected, and comes back likewise when it was opened.
//
// # Suspensions
//
// A person may suspend an app, or a tree with all its apps. Pushes go on as ever: jobs are made, wishes are kept, and
// the newest one takes the others' place. Only TakeMany does not launch what no person asked for, and delays it for a
// day instead, after which it is looked at again; plans go on. What a person asked for goes through, and when it takes
// the place of a job that was held back, or the other way round, what is left counts as asked for.
//
// # Tombstones
//
// Before a tree is switched to a generation that names fewer apps, MarkGone notes what it stops naming, with the
// entry that it had. So nothing is forgotten by who dies between the two, and nothing is listed before the switch or
// once a tree names the app again. A destroy is pushed with a delay (job.Job.DelayMS), which no end of another job
// shortens; a deploy of the app that is pushed meanwhile takes its place. What was destroyed is listed for thirty days.
// A tombstone destroys nothing by itself: the job looks again.
//
// # Grants
//
// A machine that is launched has a name and no rights. Grant binds the attempt to the first machine that asks, says what
// the job is and what the catalog says of its app, and refuses every other machine from then on. Where launches are
// sealed (Queue.Seal), Claim refuses every machine but that one: to know a job and its attempt is not enough to take it.
//
// # Layout
//
// The layout is public, versioned by flycd:schema (this is version 1), under one prefix. Nothing
// secret is ever in it. On a cluster the prefix must be "{flycd}:", as scripts touch many keys.
//
//	flycd:schema              string  the layout's version
//	flycd:jobs, …:jobs:low    stream  field job: the id of a job that waits or is active. Group
//	                                  runners; consumer launch, then the machine. An entry goes when
//	                                  its job parks, backs off or ends: never trim them by length
//	flycd:active              zset    launching and claimed jobs by deadline (ms)
//	flycd:delayed             zset    delayed jobs by the time that they wait again (ms)
//	flycd:job:<id>            hash    job (JSON), kind, subject, state, stream, entry, attempt,
//	                                  failed, lost, machine, fence, queued launched claimed ended due since
//	                                  entered deadline floor (ms; no launch before floor), time before after
//	                                  (order), side, cancel, waits, suspended (for what it waits), hand (a
//	                                  person asked for it), sealed, granted (to which machine), result
//	                                  (JSON), detail, digest, commits, image, release, superseded_by
//	flycd:log:<id>            stream  field line; about 10,000 lines
//	flycd:app:<name>          hash    active, next (what waits or is parked), their kinds, fence,
//	                                  last, last_outcome, result and judged (JSON), digests, commits,
//	                                  image, release, hold (why auto-sync is off), config (its tree),
//	                                  done (newest order time that was deployed well), trouble (how the last
//	                                  deploy ended, where that was badly)
//	flycd:plan:<name>         hash    active and next of an app's plan jobs
//	flycd:config:<id>         hash    the same for a config tree or a fan-out, with generation,
//	                                  last_generation, commit and order_…; sight and sight_generation: what
//	                                  it looked like when a sync of it was done
//	flycd:desired:<app or id> hash    config and source (JSON of the half, gone when deployed), each
//	                                  with …_time, …_before, …_after, …_job, …_tie; force
//	flycd:catalog:<id>        hash    generation → when it was begun (ms)
//	flycd:catalog:<id>:<n>    hash    app → entry (JSON) of generation n
//	flycd:needs:<id>:<n>      hash    app → the apps that it depends on, in generation n
//	flycd:waits:<app>         set     jobs that wait for the app, or ended because it was not deployed
//	flycd:includes:<id>:<n>   set     the repositories that generation n includes (JSON)
//	flycd:suspended           hash    app or config id → "<since, ms> <by and why, JSON>"
//	flycd:suspended:<app or id>
//	                          set     jobs that are held back
//	flycd:tombstone:<app>     hash    tree, since, generation, entry (JSON), commit, renamed; job, outcome, detail
//	                                  of its destroy; gone (ms); 30 days from then
//	flycd:tombstones:<id>     set     apps that the tree stopped naming
//	flycd:repo:<repo>@<ref>   hash    "<n> <app> <config id>" → route (JSON)
//	flycd:trees:<repo>@<ref>  hash    config id → route (JSON); "<n> <config id>" → route of a tree that includes it
//	flycd:image:<host/path>   hash    "<n> <app> <config id>" → route (JSON), of each app that names the image
//	flycd:pushed:<host/path>:<tag>
//	                          string  "<ms> <digest>": what a registry last told of the tag, and when first; 96 h
//	flycd:build:<image>       string  "<deadline, ms> <who>": whose turn it is to build the image
//	flycd:delivery:<guid>     string  the answer that was given; 96 h
//	flycd:take:<token>        string  what one call of TakeMany or TakeLetter was given; a minute
//	flycd:orphans:<kind>      hash    what a sweep found odd → when first (ms)
//	flycd:dead                stream  job, subject, why: poison, and jobs whose attempts are spent
//	flycd:events              stream  job, subject, state, supersedes; about 10,000
//	flycd:feed                hash    cursor: the last event that letters were made of; by (which call), and how
//	                                  many letters were undelivered
//	flycd:outbox              zset    channels that have letters, by the time that somebody may send next (ms)
//	flycd:outbox:<channel>    list    letters: "<written, ms> <id> <JSON>"
//	flycd:sending:<channel>   hash    how far the first of them is: id, tries, lease, unsure, why, failures
//	flycd:undelivered         stream  channel, letter, why, tries, created, body: what was given up; about 1,000
//
// An ended job, its log and a delivery's answer stay for 96 hours; what has not ended has no TTL.
// TTLs only tidy up: nothing depends on them. The server's maxmemory-policy must be noeviction, as
// any other may drop jobs (Stats tells).
//
// # A look inside
//
//	redis-cli HGETALL flycd:app:hello                # what runs, what is next, what was last
//	redis-cli HGET flycd:app:hello last              # … and its job's id
//	redis-cli HGETALL flycd:job:$ID
//	redis-cli XRANGE flycd:log:$ID - +               # what the runner said
//	redis-cli XRANGE flycd:jobs - +                  # what waits or is active
//	redis-cli ZRANGE flycd:active 0 -1 WITHSCORES    # … until when
//	redis-cli XREVRANGE flycd:dead + - COUNT 10      # what needs a person
//	redis-cli HGETALL flycd:suspended                # what a person holds back
//	redis-cli XREVRANGE flycd:events + - COUNT 20    # what happened
//	redis-cli ZRANGE flycd:outbox 0 -1 WITHSCORES    # who is to be told something
//	redis-cli XREVRANGE flycd:undelivered + - COUNT 10
//	redis-cli HKEYS 'flycd:repo:github.com/acme/code@HEAD'
//	redis-cli HKEYS 'flycd:image:ghcr.io/acme/web'   # which apps name the image
//
// # Catalog
//
// A sync writes entries and routes of a new generation in chunks of at most 1 MB, and one script
// switches the tree to it if its order is not older and nobody else has claimed the tree since. Readers
// ignore other generations; the next sync deletes them. An app belongs to the tree that names it in its
// current generation, or in one that was begun within the hour; another tree's claim is a conflict, until
// the first one drops it.
//
// # Registries
//
// A push to a registry names no commit, and so no half: its jobs are wishes of their time of arrival, and the
// runner asks the registry what the policy takes. Images finds the apps, and remembers by tag what was last told.
// A push that is told again (by a second hook, or anew) has the stamp that it had, and so makes the same jobs;
// a tag that comes back to an old digest has another one. Images and tags that no app names are not remembered.
//
// # Turns
//
// Two jobs that want the same image build it once: Turn lets one build at a time, renews while it does, and
// is outlived when it dies. It is a saving, not a lock: nothing is wrong when two build.
//
// # Outbox
//
// Every move writes its event in its own script, and so no state is ever missing there. Whoever wants to tell forges
// and people reads the events after the feed's cursor, words letters, and appends them while the cursor moves, in one
// script that refuses when the cursor is elsewhere: so each event is worded once, by however many processes, and
// wherever they die.
//
// A letter has a channel. The letters of a channel are sent in order, one at a time: TakeLetter leases the first
// one. A sender that dies in it is outlived by the lease, and the next one is told that the letter may have arrived
// (Unsure), to look before sending it again; one that is slow loses it, and what it says of it then is refused. So a
// letter is sent at least once, and doubled only where the destination cannot be asked.
//
// A letter that fails stays first, and its channel waits: ten seconds, doubled with each failure in a row up to an
// hour, or as long as the destination asked. After 50 tries or a day, or when it was refused for good, it goes to
// undelivered and the next one follows. A channel keeps 200 letters, all together 20,000: the oldest go there too, but
// for one that is being sent. Other channels never wait for one that fails.
//
// # Roles
//
// A server that has ACLs can hold a user for each who speaks to it: the dispatcher, the runners, and a person with
// the command line (Roles, ACL). Each may send the commands that its scripts and methods send, to the keys that they
// name. Scripts have no rights of their own, so these are what a stolen password can do: nothing beyond the prefix,
// nothing to the server itself. Within the prefix a runner may write what its moves write, also of other apps; it
// cannot launch, nor see or send letters, nor answer deliveries.
//
//	dispatcher  runner  person
//	yes         –       yes     take, due, grant, outbox, sweeps
//	–           yes     yes     claim … finish, catalog, turns
//	yes         yes     yes     push, look up apps and routes
//	–           –       yes     enter, cancel, suspend, hold, audit, SCAN
//	yes         –       yes     EVAL, SCRIPT LOAD
//
// A runner calls scripts by their hash alone, as one that never ends would stop the server for all. So the dispatcher
// loads them (LoadScripts, which Grant calls): a server that restarted in between refuses the runner, whose attempt
// is then lost and made again. The commands that make the users are what ACL gives; no password is in them.
//
// # Cost
//
// Hosted servers bill by command. A webhook that finds a running server takes six (HELLO, schema,
// routes or images, push, due, take), however many apps follow it; a deploy job takes about ten, besides
// heartbeats and logs. Nothing polls but who waits for a turn, and nothing blocks.
package queue
