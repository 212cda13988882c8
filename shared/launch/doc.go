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
// to fly-go's). Nothing secret is ever put into a machine's config, which anybody with a read
// token can read back: what a runner needs to know in secret is a Fly secret of the runner app.
package launch
