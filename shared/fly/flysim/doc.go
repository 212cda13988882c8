// Package flysim simulates the Fly Machines API on the wire: a Server is an http.Handler that
// fly-go's flaps client, flyctl and curl can be pointed at (FLY_FLAPS_BASE_URL). Tests and the
// local mode use it; nothing that runs on Fly links it.
//
// # What is simulated
//
// Apps, machines, leases, metadata, volumes, secrets, secret keys, addresses, certificates,
// placements and deploy tokens live in memory. A machine's life takes time, on a clock that tests
// move: created → starting → started, stopping → stopped, suspending → suspended, replacing after
// an update, destroying → destroyed. Transitions are tasks on an agenda; one goroutine runs what is
// due, and every request first does the same, so an answer never lags behind the clock.
//
// Where the real API has opinions, so has the simulator: writes to a leased machine need its nonce
// (409), current_version and min_secrets_version are enforced (412), a wait takes 1 to 60 seconds
// (400) and then expires (408), a name that is somebody else's is forbidden (403), the config is
// echoed with the quirks of the real one (dns: {}, guest defaults, autostop as a boolean).
//
// # What can go wrong
//
// Faults (PUT /_sim/faults) answer with a status, delay or cut the connection, before or after the
// effect of the request: a create that was committed and answered 503 is one line. Lag makes lists
// stale and new machines invisible for a moment. Behavior gives an image a fate: it exits, its
// checks fail, it never boots. Capacity fills a region. Rate limits are the documented ones, off
// unless asked for.
//
// # Machines that run
//
// A machine whose image is in Options.Exec runs a command of this host in its own process group,
// with nothing but the machine's environment and the app's secrets, a home of its own and one
// loopback port for each internal port; its checks probe that port for real, its exit follows the
// restart policy. Close ends all of them.
//
// # Looking in
//
// GET /_sim/state shows everything but the values of secrets; Options.Record writes what came in,
// in the form of recordings of the real flyctl. Tokens are checked where Options.Tokens has any or
// Mint was called: opaque ones are compared, macaroons are verified with their real cryptography
// and their caveats (organisation, apps, validity, IfPresent) are obeyed.
//
// Time is the clock's, ids and names come from a seeded source: the same requests make the same
// ids.
package flysim
