// Package forgesim simulates a forge on the wire, as GitHub speaks: a Server is an http.Handler that go-github,
// git and curl can be pointed at. Tests and the local mode use it; nothing that runs on Fly links it.
//
// # What is simulated
//
// The REST API, version 3, below / and below /api/v3/ (what an Enterprise client asks for): repositories,
// webhooks with their deliveries, commit statuses, deployments, comments, pull requests, collaborators, Apps
// with their installations and tokens, meta, the rate limit. Smart HTTP git below /OWNER/NAME.git, reading and
// writing, and, with Server.ListenSSH, git over ssh with deploy keys. Repositories are bare ones in
// Options.Dir/OWNER/NAME.git: whoever puts one there has made it. Everything else lives in memory.
// What is not simulated is answered with 501 and a sentence.
//
// Where the real API has opinions, so has the simulator: what a token may not see is 404, what it may see and
// not do 403; a hook with the URL of another one is 422, its secret is never shown again, an edit of its config
// without the secret drops the secret; a status needs a commit that exists, a description of at most 140
// characters, and there are at most 1,000 per commit and context; a deployment asks for green statuses unless
// required_contexts says otherwise, and a successful one makes its predecessors inactive; lists come in pages; an
// App's JWT may live ten minutes, a token that it gets one hour.
//
// # Tokens
//
// Options.Tokens are tokens of people: each has a login, the repositories that it reaches and, where it is a
// fine-grained one, permissions by GitHub's names (contents, statuses, deployments, issues, pull_requests,
// repository_hooks; metadata is always there) with read, write or admin. Apps are known by their id and public
// key; each has installations on accounts. Without any token and App everybody may do everything as "somebody".
// Git takes the same tokens as the password of Basic authentication, with any user. A private repository is 401
// to who sends nothing, 404 to whose token does not reach it; a repository is private unless Options.Public, or
// PUT /_sim/repos, says otherwise.
//
// # Webhooks
//
// Making an active hook sends it a ping. Server.Push and POST /_sim/push compare a repository's refs with what was
// told before and send a push event for each that moved; a push over HTTP does it by itself. Pull requests and
// comments send theirs. Each delivery is signed as GitHub signs (X-Hub-Signature-256), has ten seconds and one
// try, follows no redirect, is kept in the hook's log, and can be sent again by the API. Deliveries go out
// beside each other and in no order; Push waits for its own, Server.Wait for all.
//
// What a repository holds when a request first names it counts as told before; of a repository that no request has
// named, the first push tells everything.
//
// # What can go wrong
//
// Faults (PUT /_sim/faults) have the form of flysim's: they answer with a status, delay or cut the connection, before
// or after the effect of the request. A delivery is matched with the method HOOK and the path
// /OWNER/NAME/EVENT: a status or a drop "before" loses it, a drop "after" loses its answer.
//
// # Control
//
// No token is needed: who can reach them owns the simulated world.
//
//	GET  /_sim/state    everything but tokens, secrets and keys (State)
//	PUT  /_sim/faults   [{"match":{"method","path","body","nth","probability"},"do":{"status","body","header","after","delay_ms","drop","repeat"}}]
//	GET  /_sim/faults   the same with how often each was seen and hit
//	POST /_sim/clock    {"advance":"61m"}
//	POST /_sim/wait     returns when no delivery is under way
//	PUT  /_sim/repos    {"repo":"acme/web","private":true,"members":{"eve":"read"},"deploy_keys":["ssh-ed25519 …"]}: makes
//	                    it where it is not there; what is not named stays. Answers its clone_url.
//	POST /_sim/commit   {"repo","branch","message","files":{"app.yaml":"…"},"push":true,"sender"}: a commit on the
//	                    branch (default: the default branch), pushed at once where push is true
//	POST /_sim/push     {"repo","ref","sender"}: tells of every ref that moved, or of that one, and answers the
//	                    deliveries with what the hooks answered
//	PUT  /_sim/refs     {"repo","ref","commit"}: moves a branch or tag, or removes it where commit is empty; tells nobody
//	POST /_sim/pulls    {"repo","head","head_repo","base","title","user"}: opens a pull request, of a fork where head_repo
//	                    is another repository; refs/pull/N/head appears in the repository
//	PUT  /_sim/pulls    {"repo","number","state":"closed","merged":true,"user"}
//	POST /_sim/comments {"repo","number","body","user"}: somebody comments on a pull request
//
// Ids count up; probabilities come from a seed: the same requests make the same world.
package forgesim
