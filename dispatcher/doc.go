// Package dispatcher turns webhooks into jobs and jobs into runner machines.
//
// A request goes one way: bytes → verify → parse → route → push → launch → answer. Each step takes
// what only the step before it can give (parse takes a verified delivery, dispatch takes an event),
// so that nothing can be looked at before its signature was checked, over the raw bytes, in
// constant time, against every secret that is in use.
//
// A 2xx means that the jobs are in the queue, as durably as Redis is: the push comes before the
// answer, and what cannot be pushed is answered with 503, of which nothing was accepted. Then, still
// within the request, comes a due pass: launches and claims past their deadlines, delayed jobs whose
// time has come, and a machine for each job that waits, while fewer than MaxRunners are active.
// The answer comes within five seconds whatever Fly does: what was not launched by then is launched
// by the next pass. Nothing that matters is done after the answer, because Fly stops a machine that
// serves nobody.
//
// Passes that are asked for while one runs share the next one, so a thousand webhooks at once cost a
// few passes and not a thousand. A launch that is known to have made nothing is given back to the
// queue and spends no attempt; of every other failed launch the start deadline decides.
//
// Who may do what: POST /webhook takes deliveries that a forge signed. POST /next takes a bearer
// token that can do nothing but start a due pass; a finishing runner asks for it, and it is held for
// up to a minute while something becomes due. GET /healthz answers always, with ?deep it asks Redis
// and Fly, at most once in five seconds. Metrics are served on a listener of their own, on the private network.
//
// Bodies and secrets are never logged.
package dispatcher
