// Package probe owns the noun Probe, a question to an address from outside, and one verb: ask. After a
// deploy has proven what Fly says of the machines, verify[] in app.yaml proves what users see.
//
// Ask repeats the question until the answer is as the manifest wants it (its status, and a text in its
// body) or the time is up, and then says what the last answer lacked. The pause between questions
// grows up to two seconds. An answer is read up to its first megabyte, and at most five redirects are
// followed. Nothing of a body is repeated: a page may hold what a log may not.
//
// An app that does not answer yet is no rejection: whether a failed probe ends in a rollback or another
// attempt is the caller's. No error holds the user and password that a URL can carry, nor its query.
package probe
