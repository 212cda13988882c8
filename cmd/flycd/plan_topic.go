package main

import "github.com/spf13/cobra"

// plansTopic is a help topic: `flycd help plans`.
func (c *cli) plansTopic() *cobra.Command {
	return &cobra.Command{Use: "plans", Short: "How to read a plan, and how to show it in a pull request", Long: `A plan has a headline for each app, and below it what happens to the app itself and to each process group:

  shop  would be updated: 1 to create, 3 to change; 3 machines restart; 1 step with downtime
    app
      set secrets: DATABASE_URL
    group web
      update 3 machines: 2 in ams, 1 in fra, each restarts: env.COLOR: red → blue
    group worker
      update machine 148e21 in ams, it restarts: image: 1.4 → 1.5
        downtime: group worker has no other machine that answers while it restarts

Machines of a group that the same is done to share a line. A key with + is new and one with - goes; one whose
values may be secret only says that it changed. "note" is something to know, such as a machine that FlyCD leaves
alone; "pending" is something to do outside of Fly, such as a DNS record.

  flycd plan PATH                 everything that a deploy would change, from whichever side
  flycd plan PATH --exit-code     0: nothing to do, 10: something
  flycd drift PATH|APP            only what somebody changed on Fly since the last deploy
  flycd deploy PATH --dry-run     the same as plan

For a pull request, as a comment that is never longer than GitHub allows:

  flycd plan ./config -o markdown > plan.md
  gh pr comment "$PR" --body-file plan.md

For a program: flycd plan ./config -o json | jq '.[] | select(.plan.empty | not) | {app, counts, changes}'
`}
}

// movingTopic is a help topic: `flycd help moving`.
func (c *cli) movingTopic() *cobra.Command {
	return &cobra.Command{Use: "moving", Short: "Bring apps that run on Fly already under FlyCD", Long: `An app that flyctl deployed stays as it is while FlyCD takes it over: its machines, volumes, addresses and
secrets are adopted, not made again.

With its fly.toml at hand
  flycd deploy and plan read a fly.toml as it is. flycd convert turns it into an app.yaml beside it, with its
  comments; flycd convert ./apps does so for a whole tree, and --dry-run says what it would write.

Without it
  flycd adopt APP writes the manifest from what runs: its last release, its machines, volumes, addresses and
  certificates. A plan of it is empty. The image is pinned by its digest; write source.type git or local when
  FlyCD is to build it. Secrets stay, and are listed in a comment: uncomment those that FlyCD is to set.

Then
  flycd plan PATH                 should say that there is nothing to do
  git add PATH && git push        and from now on Git says what runs

flyctl goes on working on the app: fly status, fly logs, fly scale, fly secrets. What it changes is drift, which
flycd drift shows and the next deploy undoes; sync.ignore names what is to be left to others.
`}
}
