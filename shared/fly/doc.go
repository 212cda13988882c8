// Package fly observes and changes apps on Fly. It is the one package that speaks to Fly about users' apps: to the
// Machines API through fly-go's flaps client, and to what that does not know (GraphQL for add-ons and egress
// addresses, REST for releases and managed Postgres, the logs) with a few small structs over the same wire.
//
// It decides nothing. Observe gives what is true as a plan.Observed; plan.Diff decides; Change.Apply
// makes one plan.Step true, in a switch; Change.Look observes again what that came to; Change.Prove says whether
// the app runs as it should.
//
// # The right to change
//
// One app is changed by one deployer at a time (DESIGN, invariant 3). Begin takes the leases of all
// the app's machines and then reads them again, so what Observed gives was read under the leases and
// stays true. The lease of the machine with the lowest id is taken first and alone: whoever has it has
// the right of way, and two deployers never hold half of the leases each. A machine whose host does
// not answer grants no lease, and is never updated.
//
// A lease is trusted from the start of its last successful refresh until its TTL later, less a
// margin, by this process's monotonic clock; no two clocks are compared. One goroutine, which Close
// waits for, refreshes all leases every sixth of the TTL. A write starts only if half of the TTL is
// left, on every lease and on the caller's context, and is cut off after that time: so no write of a
// deployer that lost its hold can be on its way when the next one begins. A lease that was refused, or
// that came back under another nonce, ends the change: ErrUntrusted. Updates also carry
// current_version, so that one that comes late finds another version, and machines are created under
// a name that Fly holds unique, so that one that comes twice collides. A dead deployer's leases run
// out by themselves, and Begin waits longer than that; who lives gives back also what was granted after
// it stopped waiting. While a machine is leased Fly's proxy does not
// start it: leases are short and always given back.
//
// # Writes whose answer is lost
//
// A write ends in one of three ways: done; refused, which is explained; or unknown (408, 5xx, a cut
// connection). After the last, and after every refusal that may pass, the effect is looked for until
// Options.Lag is over, since lists trail behind, and only then is the write sent again, four times at
// most. What is looked for: an app and a machine by name, an address by its kind, a volume by the number of
// its name in the region, an update by the version that changed while the lease was ours, a
// destruction by its absence. A machine that is found, or that a conflict names, is adopted: its lease is
// taken (the nonce of a lost answer is lost as well, so this waits for the lease to run out), it is read, and
// it is given the wanted config where its own differs. So each step may be repeated, by the
// same change or by the next run, and nothing is ever there twice. Volumes and addresses have no names of
// their own; they are counted and made one after another. One address of a kind and region is
// the most that can be asked for. Certificates are known by their host names, add-ons by their names. What may
// come twice without harm (cordons, the size of a volume, the end of a release) is simply sent again.
//
// # Secrets
//
// Values come by Change.Provide and go out in one request. The version that Fly answers with goes into every later
// create, update and command of the change (min_secrets_version), so that machines have what was set; 412 says that
// Fly does not have it everywhere yet, and is waited for. Where that answer is lost, the list tells whether
// every secret is another one than before, and the version is learned by removing a secret that nobody has.
// Tokens, provided values and what attaches add-ons are taken out of all errors and of what commands say.
// A bucket tells its keys once: where that answer is lost, the bucket, moments old and empty, is made again.
//
// # Commands
//
// A command runs at most once for a job. Its machine has a name of its own, and what bears it already, destroyed machines
// too, is the run, whoever made it and however it ended. It carries no lease, since nobody updates it, and
// waiting for it writes nothing; the other leases are refreshed meanwhile. Whoever stops waiting leaves it alone. The
// exit code is that of the newest exit after the newest start. An exit that somebody asked for, an end without an
// exit code and one that comes too late are no success; only in the last case is the machine destroyed by us.
//
// # Releases
//
// StartRelease and EndRelease keep the record that flyctl keeps, so that its other commands find it. Nothing
// depends on them: they are bounded in time, and their errors are for a warning.
//
// # What fly-go does underneath, and what is done about it
//
//   - It sends every request again after 502, 503 and errors that call themselves temporary, POSTs too:
//     a create that was committed and answered 503 would make two machines. Our transport lies under
//     that (wire.go) and turns these into errors without that mark, for everything but GET.
//   - It never obeys 429. The wire waits as Retry-After says, with jitter, as long as the context
//     allows, and repeats reads; a write goes back to the one who made it, who looks first.
//   - Its structs drop keys that they do not know. The wire keeps the bytes of answers, so an observed
//     machine has its raw config, and puts the final config as bytes into an update.
//   - LaunchMachineInput has no current_version. The wire adds it.
//   - AcquireLease repeats itself for a minute on any error and then gives only the deadline's. A
//     RefreshLease without a nonce is the same request, once; the wire drops the empty header.
//   - It writes the nonce's header in lower case, where http.Header.Get does not see it.
//   - It reads its address from the environment only. The wire rewrites the URL to Options.BaseURL.
//   - It puts app names into paths unescaped. Names are checked before they get there.
//   - Given a logger it writes request bodies, secrets included. It is given none, and the wire logs
//     nothing. Errors say what Fly said, on one line, cut, with our tokens removed; never what we sent.
//   - It decodes answers while they arrive. The wire reads them to their end first, bounded, so that a
//     connection that is cut in a body is an error like any other.
//
// # What the API says, and what it means
//
// 401 and 403 are rejections that say what to do about the token or the name. 400 and 422 are
// rejections with Fly's own sentence, but for an image that the registry does not show yet. 409 is a
// lease or a name. 412 is read by its body: secrets that are not there yet may come, a version that
// is not current ends the step, and a lack of capacity, which other statuses carry too, is
// ErrCapacity. 404 just after a create is lag, on an update it means that the machine is gone, on a
// destroy that it is done. Everything that is not a rejection may be tried again.
//
// # Proof
//
// Prove looks at each machine until it runs the wanted digest and configuration, is started (or
// stopped, where that is allowed), has been up for Options.Smoke without a new start, and its checks
// pass. A look that fails counts for nothing. A process that ends badly and is not restarted, or that keeps
// crashing, is hopeless at once. Waiting is Fly's own /wait, in short pieces: one that starts and dies at once
// may never be seen in a state. What must be true is
// plan's to say (ProofMachine.Met); what time adds to it is a pure function of ours (judge.go). The leases are
// kept to the end of the proof, and a proof under lost leases counts for nothing.
package fly
