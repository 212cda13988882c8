// Package queuetest holds what tests of, and with, the queue need: servers of both sorts, and the
// conformance suite that both must pass.
//
// Redis starts a private redis-server for one test; Embedded starts the embedded one of the local
// mode. Run is the suite: laws of the moves, each on a fresh queue.
package queuetest
