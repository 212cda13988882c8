package main

import "github.com/spf13/cobra"

// securityTopic is a help topic: `flycd help security`.
func (c *cli) securityTopic() *cobra.Command {
	return &cobra.Command{Use: "security", Short: "Which tokens and secrets there are, and what a thief of each would gain", Long: securityText}
}

const securityText = `Each token and each secret that an installation has: where it is, how long it lives, what it can do, and what
somebody gains who steals it. Whoever may change the secrets of FlyCD's two apps, push to a root config repo or deploy
in the organisation anyway is not a thief here: they have all of it already.

Held by the dispatcher, as Fly secrets of its app
  FLY_API_TOKEN            a deploy token of the runner app, for a year (flycd token rotate)
    can do                 make, list and end machines of the runner app
    a thief gains          runners of any image, which see the runner app's secrets below; no other app
  FLYCD_MINT_TOKEN         a deploy token of the organisation, for a year (flycd token rotate)
    can do                 everything with the organisation's apps; each job gets what is left of it when it is
                           narrowed to that job, and the key of tickets is derived from it
    a thief gains          the organisation's apps, and every grant: this is the one to guard
  FLYCD_WEBHOOK_SECRET, _2 of the webhooks; until flycd webhook rotate
    can do                 sign deliveries
    a thief gains          jobs for apps and trees that are known, at commits that are in their repositories: an
                           old commit can be deployed again, and a fork's pull request be planned as if it were none
  FLYCD_REGISTRY_TOKENS    of registries that sign nothing; until changed
    a thief gains          jobs that look for a new image
  FLYCD_DISPATCH_TOKENS    of whoever calls POST /dispatch; until changed
    can do                 have any app deployed again and any repository read as a config tree
    a thief gains          that too: a config tree of their own, and so apps of the organisation by what it says
  FLYCD_GITHUB_TOKEN       until it expires at GitHub
    can do                 what it was made for: commit statuses, deployments, comments, who may write
    a thief gains          the same; give it no right to contents
  FLYCD_GITHUB_APP_KEY     until it is revoked at GitHub
    can do                 mint tokens for an hour, for the repositories where the App is installed
    a thief gains          those repositories, as far as the App's permissions go
  FLYCD_NOTIFY             addresses of chats, and secrets that sign what is sent there
    a thief gains          messages in those chats
  REDIS_URL                of the role dispatcher where the server has users (ACLs), else the server's only one
    a thief gains          the queue and the catalog: what is deployed, when, and from where; no Fly token is in there

Held by every runner, as Fly secrets of the runner app
  REDIS_URL                of the role runner where the server has users, else the server's only one
    can do                 what jobs and syncs need: claim and finish jobs, push further ones, write the catalog
    a thief gains          jobs and catalog entries that they write: FlyCD then deploys by them, as far as it may
                           deploy at all; other jobs disturbed, or claimed in place of their runners, without
                           their grants. Not: other keys of the server, its commands, scripts of their own, what
                           is told to forges and chats
  FLYCD_NEXT_TOKEN         until changed
    a thief gains          due passes: the dispatcher looks whether there is something to launch
  FLYCD_GIT_TOKENS, FLYCD_GIT_KEYS, FLY_SSH_PRIVATE_KEY
    a thief gains          the repositories that they open; a GitHub App has none lie about
  SOPS_AGE_KEY, FLYCD_PGP_KEY, FLYCD_REGISTRY_LOGINS, and the secrets that apps name (secrets: env)
    a thief gains          what they open. They are the same for every job: keep teams that do not trust each
                           other in installations of their own, or bound them by allow.secrets
  FLYCD_DIGEST_KEY         a thief who also reads machines' metadata can test guesses of secrets

Held by one runner
  FLYCD_TICKET             in its machine's environment, until the attempt's deadline; only where FLYCD_FLY_ISSUER is
                           not set does it prove anything
    can do                 ask for one grant, once, for the first machine that asks
    a thief gains          that job's grant, if quicker than the machine, which is then refused: it shows
  its machine's identity   an OIDC token of Fly's, for ten minutes, for the audience flycd
    can do                 ask for the grant of the job that the machine was launched for
  its grant                in its memory, until the attempt's deadline (a Git token: an hour at most)
    deploy                 everything with the job's one app; pushing images into the apps that it shares them
                           with; add-ons only where the app has some, and then the passwords of all add-ons of the
                           organisation can be read: where that matters, give the queue's Redis an organisation of
                           its own
    destroy                everything with the one app
    plan                   looking at the one app, or for a pull request at the organisation's apps and, unless it
                           comes from a fork, at add-ons
    sync                   nothing of Fly's
    Git                    reading the job's repositories
    a thief gains          the above until then: no other app, no other organisation, no runner, no token that
                           lasts, nobody else's lease
  what a build runs        nothing of the above: its steps reach neither the runner nor the private network

Held by others
  a workflow's identity    GitHub's OIDC token for the audience flycd, where FLYCD_OIDC_REPOS names its repository
    can do                 ask for what a push to that repository would deploy; nothing from pull requests
  flycd install            your own Fly token and a token of the forge, while it runs; neither is kept

FLYCD_MINT_TOKEN can be left out. Then runners have a token of their own in their app's secrets, and that is what a
thief of any runner gains.
`
