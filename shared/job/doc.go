// Package job owns the noun that everything else hands along: a Job, the wish that one app or one
// config tree be real at one commit, and its Result.
//
// A job is immutable data. Its id is derived from what is asked, not from who asks, so that one
// push that is seen through two webhooks, or delivered twice, is one job, while A → B → a forced
// push back to A is three. Order places the wishes for one subject: the newest wins, and an older
// one that arrives late is superseded at once.
//
// Errors are of two sorts. One that wraps ErrRejected cannot be cured by trying again; every other
// may be tried again, and so everything that is done must be safe to repeat.
//
// The package does no I/O and reads no clock.
package job
