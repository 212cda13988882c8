// Package runner is the life of one runner machine: it claims the job that the machine was made for and
// no other, holds the claim while deploy.Deployer makes the job true, records the result, asks for the
// next launch, and ends.
//
// A claim is held by a goroutine of the runner's own that renews it much more often than it lapses. The
// claim is trusted until the start of the last good renewal plus its time to live, less a margin, by the
// runner's own monotonic clock; a deployer starts no write that this trust cannot outlast. When the claim
// is lost, because Redis gave the job to the next attempt or because nobody can tell, nothing more is
// changed: the step at hand is finished, and whoever holds the job observes where things are.
//
// An attempt that failed for a passing reason is given back with a delay, and tried again on this machine
// while the delay fits the deadline. Told to stop (SIGTERM, SIGINT, the deadline), the runner finishes
// the step at hand and gives the job back; that spends no failed attempt.
//
// What the job says goes to its log stream in Redis, line by line in batches, without the secret values
// that the runner knows.
//
// The exit code is 0 when the job ended, whatever its outcome, when it was given back, and when the claim
// was refused: somebody else has it, or it has ended. It is 1 only when the runner could not record what
// became of it; the due pass then finds the claim lapsed.
package runner
