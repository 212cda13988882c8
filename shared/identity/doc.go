// Package identity knows who somebody is by a token that an issuer signed for the occasion: a workflow of GitHub
// Actions that asks for a deploy, a Fly machine that asks for the grant of its job. It checks such tokens, and gets
// one for the machine that it runs on. What a caller may do is not decided here.
//
// A token proves something only to the one that it was made for, so a Verifier has one issuer and one audience,
// and both must be exact. Everything in a token that is not signed is foreign text: its size is bounded, its
// algorithm must be one of those that are expected (RS256, never none, never one with a shared secret), its issuer
// and audience and time are looked at before anybody is asked for keys, so that a stranger's token costs no
// request. Keys are fetched from where the issuer's own document says, over https alone, and kept for an hour;
// a token under an unknown key fetches them again, at most once in ten seconds, so that forged tokens cannot be
// turned into requests against the issuer.
//
// The two issuers that are known:
//
//   - GitHub Actions, https://token.actions.githubusercontent.com: repository, ref, workflow and actor of a run. A
//     run for a pull request has refs/pull/N/merge as its ref, and sub says pull_request: whoever may open one decides
//     what it runs, so its caller must look at Ref.
//   - Fly, https://oidc.fly.io/ORG: organisation, app and machine. Any process in a machine can get one, through
//     the socket /.fly/api, for any audience.
package identity
