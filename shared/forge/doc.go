// Package forge speaks to the forge that hosts the repositories, in the direction that webhooks do not: it sets webhooks
// up, mints tokens, and tells commits, pull requests and people what became of a push.
//
// # Client
//
// A Client is one forge and its credentials: a token, or a GitHub App whose installation tokens are minted for one
// repository and one purpose, and remembered while they are good. The token is shown to the forge's own host and to
// nobody else, redirects to other hosts are not followed, and answers are bounded. Questions that met trouble are asked
// again; what changes something is not, as the answer may have been lost and not the request. Those who call look first.
//
// Errors say what to do and hold neither a token nor a destination's address. ErrDenied is for what a person can mend,
// job.ErrRejected for what no further attempt can; everything else may be tried again, and a Failure says how long to
// wait.
//
// # Webhooks
//
// There is one hook for one address: EnsureHook mends what is there before it creates one, deletes a second one, and looks
// again when an answer was lost. A secret cannot be read back: it is set when it is given, and left alone when it is not.
// PingHook tells whether the other side knows it.
//
// # What is told
//
// Post reads the state changes that the queue's scripts write, words letters, and appends them to the outbox at once with
// its cursor: each change is worded once, whoever does it. A letter holds all that is sent, in Redis, and no secret.
//
//	a job           is told                            where
//	deploy          pending when it is pushed,         status flycd/APP of the commit that the push named, else
//	                then how it ended                  of the one that was deployed
//	                created, updated, failed           deployment of the source's (else the config's) commit, in
//	                                                   the environment PROJECT/APP (production/APP)
//	sync            how it ended                       status flycd/sync of the config commit; flycd/sync@REF#PATH
//	                                                   for a tree that is not all of its repository
//	plan of a       how it ended, and the plan         status flycd/plan… of the head, and the one comment that
//	pull request                                       the request has for the tree
//	deploy, sync,   how it ended, where a notify:      the destination that the rule names
//	destroy         rule or Post.Notify names it
//
// created, updated and unchanged are success, rejected and failed are failure, superseded and cancelled are error, unless
// the wish that took the job's place is for the same commit. Not told are: what is over before it was told to begin, that
// it began; what `flycd deploy` deploys out of a person's folder; what a sweep finds just as the commit shows it; what is
// older than a day.
//
// # In order, and once
//
// Letters of one app, one tree, one pull request or one destination go one after the other; a letter that does not arrive
// keeps those after it back, until it is given up (queue: Undelivered tells). An earlier try may have brought a letter
// although its answer was lost, or its sender died: then the forge is asked before it is sent again. A status is known by
// its context, state and text, which ends with the job's id; a deployment by its payload; a comment by its first line,
// which is hidden, and its author. A webhook cannot be asked: a notice that comes twice has the id that it had
// (X-FlyCD-Delivery), and a chat shows it twice.
//
// Sending takes less than half of a letter's lease, so what a dead sender began is over when it is looked for. A forge
// that asks to be left alone is, for as long as it says; what is denied waits half an hour for a person.
//
// # Foreign text
//
// What a manifest, a commit or an error says is foreign. At a commit it is one line of plain text; in a comment it is code;
// in a chat brackets and ampersands are escaped, and what would be a link, a mention or a format is broken by a character
// that is not seen. Only http and https addresses are linked.
//
// Destinations are addresses that people enter (ParseDestinations). They are connected to when they are public, or allowed
// by Post.Allow, judged after the name was looked up; no redirect is followed.
package forge
