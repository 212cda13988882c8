// Package launch owns the machines that runners live in: it finds, makes, lists and ends them.
//
// A job's runner is one Fly Machine in the runner app, named from the job and the attempt, that
// never restarts and destroys itself when its process exits. There is no idempotency key on the
// Machines API, and an answer that did not come says nothing about what was done, so Launch always
// looks for the name before it creates, adopts what a conflict names, and after a 408, a 429, a 5xx
// or a broken connection looks again before anything else. Two machines for one attempt can only
// come to be where Fly's list lags and Fly lets a name be taken twice; the second is refused at its
// claim, so it does no work.
//
// A caller must know whether an attempt was spent. ErrNothingMade says that it is certain that no
// machine exists; every other error leaves it open, and the start deadline of the launch decides.
//
// It speaks the Machines API over net/http, with structs of its own for the few fields it needs:
// fly-go would double the dispatcher, which wakes from a slow disk (its test holds the JSON equal
// to fly-go's). No credential is ever put into a machine's config, which anybody with a read token can read back.
//
// # What a runner may do
//
// Launcher.Mint, a deploy token of the organisation, stays with the dispatcher. What a runner gets is narrowed from it
// (Narrow): macaroons are narrowed without asking anybody, by adding to them, and nobody who holds the result can
// take that away again. GrantFor decides what a job needs: its app by number, its end, the features of the organisation
// that it cannot do without. An app that is not there yet has no number, so it is created first; that is done here, so
// that no runner needs the right to create apps.
//
// The runner comes for its grant (Ask) with a Ticket that was put into its machine's environment: an HMAC over job,
// attempt and deadline. That is no credential: it is good for one attempt at one job, until its deadline, for the
// first machine that asks, and it opens nothing but that job's narrow grant. A machine that can prove who it is with
// an OIDC token of Fly's brings that along.
//
//	token            holder       lives       can do                          a thief gains
//	Launcher.Token   dispatcher   to expiry   machines of the runner app      runners of any image; what the runner app's
//	                                                                          secrets hold
//	Launcher.Mint    dispatcher   to expiry   the organisation's apps         the organisation's apps; every ticket
//	ticket           environment  the         ask for one grant, once         the grant below, if quicker than the machine
//	                 of machine   attempt
//	deploy's grant   runner       the         everything with one app; push   that app until then: its secrets through a
//	                              attempt     into those it shares            machine of it; add-ons' passwords, all of the
//	                                                                          organisation's, where the app has add-ons
//	destroy's grant  runner       the         everything with one app         that app
//	                              attempt
//	plan's grant     runner       the         look at one app; for a pull     names, configs and environment of apps; add-ons'
//	                              attempt     request, at all apps            passwords where there may be add-ons, but never
//	                                                                          for a fork
//	sync's grant     runner       -           nothing of Fly's                nothing
//
// Fly does not say whether a token of an app may make a further token of that app that outlives it. GraphQL's way to
// that is closed here (Scope.Mutations); the Machines API's deploy_token may be open: `fly tokens list -a APP` shows
// what was made, and `fly tokens revoke` ends it.
package launch
