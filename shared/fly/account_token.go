package fly

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
)

// TokenScope is what a token is for: one app of an organisation, or, without an app, all of the organisation.
type TokenScope struct{ Org, App string }

func (s TokenScope) String() string {
	if s.App != "" {
		return "app " + s.App
	}
	return "organisation " + s.Org
}

// TokenInfo is a token that was made, without its text, which Fly tells once.
type TokenInfo struct {
	ID, Name string
	Expires  time.Time
}

// NewToken is a token to be made.
type NewToken struct {
	TokenScope
	// Name is what it is called in Fly's lists.
	Name string
	// Lasts is how long it is valid.
	Lasts time.Duration
}

type graphToken struct {
	ID, Name             string
	ExpiresAt, RevokedAt *time.Time
}

const tokenMutation = `mutation CreateLimitedAccessToken($name: String!, $organizationId: ID!, $profile: String!, $profileParams: JSON, $expiry: String!) {
	createLimitedAccessToken(input: {name: $name, organizationId: $organizationId, profile: $profile, profileParams: $profileParams, expiry: $expiry}) {
		limitedAccessToken { id name tokenHeader }
	}
}`

// MintToken makes a deploy token, and tells it and what lists call it. An answer that is lost loses the token, and it is
// asked for again: whoever wants to leave none behind revokes the others of its name (Tokens, RevokeToken).
func (c *Client) MintToken(ctx context.Context, t NewToken) (token manifest.Secret, info TokenInfo, err error) {
	org, err := c.Org(ctx, t.Org)
	if err != nil {
		return manifest.Secret{}, TokenInfo{}, err
	}
	vars := map[string]any{
		"name": t.Name, "organizationId": org.ID, "profile": "deploy_organization", "profileParams": map[string]any{},
		"expiry": fmt.Sprintf("%dh", int(t.Lasts.Hours())),
	}
	if t.App != "" {
		vars["profile"], vars["profileParams"] = "deploy", map[string]any{"app_id": t.App}
	}
	var said struct {
		CreateLimitedAccessToken struct {
			LimitedAccessToken struct{ ID, Name, TokenHeader string }
		}
	}
	asked := c.options.Now()
	err = c.resend(ctx, func(ctx context.Context) error { return c.rest.mutate(ctx, tokenMutation, vars, &said) })
	if err != nil {
		return manifest.Secret{}, TokenInfo{}, c.explain(ctx, fmt.Sprintf("make a token for %s", t.TokenScope), err)
	}
	made := said.CreateLimitedAccessToken.LimitedAccessToken
	text := made.TokenHeader
	if text == "" {
		return manifest.Secret{}, TokenInfo{}, &problem{fmt.Sprintf("make a token for %s: Fly answered without one; try again", t.TokenScope), nil}
	}
	c.secrets.add(text, strings.TrimPrefix(text, "FlyV1 "))
	return manifest.NewSecret(text), TokenInfo{ID: made.ID, Name: made.Name, Expires: asked.Add(t.Lasts)}, nil
}

const tokenList = `{ limitedAccessTokens { nodes { id name expiresAt revokedAt } } }`

// Tokens lists the tokens of the scope that are neither revoked nor over, those that FlyCD did not make as well, in
// the order of their names.
func (c *Client) Tokens(ctx context.Context, s TokenScope) ([]TokenInfo, error) {
	type holder struct {
		LimitedAccessTokens struct{ Nodes []graphToken }
	}
	var said struct{ Organization, App *holder }
	query, vars := `query ListTokens($of: String!) { organization(slug: $of) `+tokenList+` }`, map[string]any{"of": s.Org}
	if s.App != "" {
		query, vars = `query ListTokens($of: String!) { app(name: $of) `+tokenList+` }`, map[string]any{"of": s.App}
	}
	err := c.look(ctx, func(ctx context.Context) error { return c.rest.query(ctx, query, vars, &said) })
	if err != nil && fateOf(ctx, err) != missing {
		return nil, c.explain(ctx, fmt.Sprintf("list tokens of %s", s), err)
	}
	var all []TokenInfo
	for _, h := range []*holder{said.Organization, said.App} {
		if h == nil {
			continue
		}
		for _, t := range h.LimitedAccessTokens.Nodes {
			if t.RevokedAt != nil || t.ExpiresAt != nil && t.ExpiresAt.Before(c.options.Now()) {
				continue
			}
			info := TokenInfo{ID: t.ID, Name: t.Name}
			if t.ExpiresAt != nil {
				info.Expires = *t.ExpiresAt
			}
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b TokenInfo) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return all, nil
}

const revokeMutation = `mutation RevokeToken($input: DeleteLimitedAccessTokenInput!) { deleteLimitedAccessToken(input: $input) { token } }`

// RevokeToken ends a token. One that is gone is no error, so it may be repeated.
func (c *Client) RevokeToken(ctx context.Context, t TokenInfo) error {
	err := c.resend(ctx, func(ctx context.Context) error {
		return c.rest.mutate(ctx, revokeMutation, map[string]any{"input": map[string]any{"id": t.ID}}, nil)
	})
	if err != nil && fateOf(ctx, err) == missing {
		return nil
	}
	return c.explain(ctx, fmt.Sprintf("revoke token %q", t.Name), err)
}

// resend makes a write that does no harm when it comes twice: it is sent again while it is not known what became of it.
func (c *Client) resend(ctx context.Context, write func(context.Context) error) error {
	for try := 1; ; try++ {
		wctx, cancel := context.WithTimeout(ctx, c.options.writeTime())
		err := write(wctx)
		cancel()
		if err == nil {
			return nil
		}
		if f := fateOf(ctx, err); f != unknown && f != again || try == tries {
			return err
		}
		if serr := sleep(ctx, c.options.Poll); serr != nil {
			return fmt.Errorf("%w (%w)", serr, err)
		}
	}
}
