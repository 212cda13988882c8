// Package flysim simulates Fly on the wire: a Server is an http.Handler that fly-go, flyctl and curl
// can be pointed at, with all three of FLY_FLAPS_BASE_URL, FLY_API_BASE_URL and FLY_UIEX_BASE_URL.
// Tests and the local mode use it; nothing that runs on Fly links it.
//
// # What is simulated
//
// The Machines API: apps, machines, leases, metadata, volumes, secrets, secret keys, addresses,
// certificates, placements and deploy tokens live in memory. A machine's life takes time, on a clock
// that tests move: created → starting → started, stopping → stopped, suspending → suspended,
// replacing after an update, destroying → destroyed. Transitions are tasks on an agenda; one
// goroutine runs what is due, and every request first does the same, so an answer never lags behind
// the clock. Ephemeral machines that have a command end, with an exit code, and are gone; scheduled
// ones start one interval after they got their schedule, and again; logs outlive their machine.
//
// The APIs beside it, as far as flyctl needs them to create, deploy, scale and show apps: GraphQL
// (apps, releases, addresses, egress addresses, certificates, secrets, volumes, organisations, Upstash
// Redis, Tigris buckets) and REST (organisations, builds, releases, logs, managed Postgres of both
// generations). A GraphQL query is parsed and resolved field by field, so any selection of what is
// known works. Add-ons and clusters have names, states and passwords, and nothing behind them, but for Redis: with
// Options.Redis, each Upstash database is a database of a real Redis.
//
// What is not simulated says so: 501 with a sentence, and in GraphQL, whose clients read nothing
// from other statuses than 200, an error that names the field. That is above all WireGuard and
// whatever goes through it (ssh, console, proxy), builders, and what is put into a bucket.
//
// Where the real API has opinions, so has the simulator: writes to a leased machine need its nonce
// (409), current_version and min_secrets_version are enforced (412), a wait takes 1 to 60 seconds
// (400) and then expires (408), a name that is somebody else's is forbidden (403), the config is
// echoed with the quirks of the real one (dns: {}, guest defaults, autostop as a boolean). A machine
// keeps the secrets of its creation until an update says min_secrets_version. A volume that is in use
// grows with the machine's next start. A certificate waits until somebody makes its DNS records:
// POST /_sim/certificates/HOSTNAME/issue (or withdraw), or Server.Issue.
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
// loopback port for each internal port, that of metrics too, which settings such as METRICS_PORT follow;
// its checks probe that port for real, its exit follows the restart policy. An ephemeral or scheduled machine of such an image that has a command of its own runs
// that one instead, on this host. Close ends all of them.
//
// Proxy is the way in from the world: it finds the app by its host, wakes a machine that is asleep and waits for its port.
// With Options.Idle, machines whose services stop by themselves (autostop) are stopped or suspended when they had no requests for so long, but
// as many keep running as min_machines_running says. What a program finds in its environment of Fly's addresses (the
// Machines API's in the private network, https://APP.fly.dev once ListenProxy serves) stands there as an address of this host.
//
// # Looking in
//
// GET /_sim/state shows everything but the values of secrets; Options.Record writes what came in,
// in the form of recordings of the real flyctl. Tokens are checked where Options.Tokens has any or
// Mint was called: opaque ones are compared, macaroons are verified with their real cryptography
// and their caveats are obeyed: organisation, apps, machines, volumes, commands, metadata, features (add-ons and managed
// Postgres are the feature addon), mutations, validity, IfPresent. Fly does not say whether a token may make another one
// that is good for longer; here it may, where it may write to what that one is for.
//
// A process in a machine proves which one it is with an OIDC token, as on Fly: a socket that FLYCD_FLY_SOCKET names stands for
// /.fly/api, and each organisation is an issuer (Server.OIDCIssuer) whose documents are served beside the APIs.
//
// Time is the clock's, ids and names come from a seeded source: the same requests make the same
// ids.
package flysim
