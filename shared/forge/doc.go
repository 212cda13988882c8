// Package forge speaks to the forge that hosts the repositories, in the direction that webhooks do not: it sets webhooks
// up, mints tokens, and reports what became of a push.
//
// # Client
//
// A Client is one forge and its credentials: a token, or a GitHub App whose installation tokens are minted for one
// repository and one purpose, and remembered while they are good. The token is shown to the forge's own host and to
// nobody else, redirects to other hosts are not followed, and answers are bounded. Questions that met trouble are asked
// again; what changes something is not, as the answer may have been lost and not the request. Those who call look first.
//
// Errors say what to do and hold neither an address nor a token. ErrDenied is for what a person can mend, job.ErrRejected
// for what no further attempt can; everything else may be tried again, and a Failure says how long to wait.
//
// # Webhooks
//
// There is one hook for one address: EnsureHook mends what is there before it creates one, deletes a second one, and looks
// again when an answer was lost. A secret cannot be read back: it is set when it is given, and left alone when it is not.
// PingHook tells whether the other side knows it.
package forge
