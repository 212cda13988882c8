// Package fault makes the requests of a simulator go wrong. It owns the noun Fault: which requests, and what becomes of
// them. The simulators of Fly and of the forge take the same list (PUT /_sim/faults), so that one set of words makes
// either of them answer 503, answer late, or cut the connection before or after it did what it was asked for.
//
// A simulator writes each answer into a Held, lets List.Serve decide whether the request takes effect and what is answered,
// and lets the answer go, or cuts the connection. Chances come from a seed, so that a run can be repeated.
package fault
