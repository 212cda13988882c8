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
// # Registries
//
// A push to a registry deploys the apps that name the image, as far as their source.policy may take the tag. Their
// jobs pin nothing: the runner asks the registry what the policy takes now. All others are named in the answer
// with the reason why not.
//
// GitHub's registry (ghcr.io) tells of it with the events package and registry_package, signed with the same
// secrets as pushes; POST /webhook/registry and POST /webhook take all events of GitHub alike. Each manifest of an
// image is told by itself, and only that with a tag counts. Of several tags that are pushed at once GitHub may name
// only one, so the one that is followed is best pushed last.
//
// Others sign nothing. They are given an address with a token in it, POST /webhook/registry/TOKEN, which is
// compared in constant time with all that are in use, before the body is read; who has none gets 401, as if there
// were no token at all. A token is never logged and in no answer. What may be sent there, as JSON:
//
//	{"image": "ghcr.io/acme/web", "tag": "1.2", "digest": "sha256:…", "id": "build-17", "actor": "ci"}
//	{"push_data": {"tag": "1.2", "pushed_at": 1417566161, "pusher": "eve"}, "repository": {"repo_name": "acme/web"}}
//	{"events": [{"action": "push", "target": {"repository": "acme/web", "tag": "1.2", "digest": "sha256:…"},
//	             "request": {"host": "registry.example.com:5000"}}]}
//
// The first is for scripts: only image must be there, and without tag and digest it means latest. The second is
// Docker Hub's. The third is what CNCF Distribution, and what is made of it, sends for its notifications; one event
// without the list around it is Azure's. Members that are not named here are not looked at.
//
// One push is one job, however often and by whom it is told: of the same tag and digest (of Docker Hub, which
// names none, the same time) as the last that was told. A delivery that is replayed gets the answer that it got: it is
// known by GitHub's id, by its id, or by the whole body where that holds one or a time. A script that gives neither
// digest nor id is taken at its word each time, and the runner finds that nothing has changed.
//
// # Pull requests
//
// A pull request into a branch that a config tree follows is planned: a job that looks and changes nothing, for the head
// commit that the event names. One from a fork is planned only once somebody who may write to the repository comments
// /flycd plan, as the forge says when it is asked; the head is what the forge names then, and the job is marked
// untrusted, so that its grant opens nothing but the repository. What a comment says beyond its first line, and
// comments that are edited, are not looked at.
//
// The ping of a new webhook in the repository of a root tree is its first sync. A push whose head commit says
// [skip flycd] makes no job; the next one without that deploys it too.
//
// # Grants
//
// A runner holds no token of Fly's. It asks for what its job needs (POST /grant), and proves that it is the machine which
// was launched for the attempt: by the token with which Fly vouches for it (its app, its id and its name, which is made
// of job and attempt), or, where FLYCD_FLY_ISSUER is not set, by the ticket in its environment. Where Fly is asked, a
// ticket alone is not enough, or Fly's word would be worth nothing. The queue binds the attempt to the first machine
// that asks, and lets nobody else claim it. Then Fly's token is narrowed (launch.Launcher.GrantFor), and a token made for
// each of the job's repositories where a GitHub App is installed. What no attempt can cure is 422: the runner claims the job
// and says so. Whatever is only away is 503, without its address, as strangers may ask as well.
//
// # Calls
//
// POST /dispatch takes what flycd dispatch sends. Who has a token of FLYCD_DISPATCH_TOKENS may ask for everything, also
// that a repository which nothing names is read as a config tree. A GitHub Actions workflow whose repository
// FLYCD_OIDC_REPOS names may ask for what a push to that repository would bring about, and no more: it confirms nothing, it
// makes neither its repository nor another branch of it a config tree, and whatever runs for a pull request may ask
// for nothing, as whoever opens one decides what that is.
//
// # Feedback
//
// What becomes of jobs is told (forge.Post) while the dispatcher is awake anyway: beside the answers to webhooks, grants and
// calls, which do not wait for it; while a finishing runner holds POST /next; and by a sweep. One delivery runs at a
// time. It ends three seconds after the dispatcher was told to stop, and what it did not get to, or did not hear the
// end of, is for the next one.
//
// # Doors
//
// Who may do what: POST /webhook and POST /webhook/registry take deliveries that a forge signed, POST
// /webhook/registry/TOKEN those of who knows a token, who can do nothing but have images looked at. POST /dispatch and
// POST /grant are above. POST /next takes a bearer token that can do nothing but start a due pass; a finishing runner asks
// for it, and it is held for up to a minute while something becomes due. GET /healthz answers always, with ?deep it asks Redis
// and Fly, at most once in five seconds. Metrics are served on a listener of their own, on the private network.
//
// Bodies and secrets are never logged.
package dispatcher
