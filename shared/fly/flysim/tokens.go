package flysim

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/bundle"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// mint makes macaroons and knows its own again.
type mint struct {
	kid  []byte
	key  macaroon.SigningKey
	used bool
}

func newMint() *mint {
	return &mint{kid: []byte("flysim"), key: macaroon.NewSigningKey()}
}

// identity is who sends a request.
type identity struct {
	owner string
	// all is true for opaque tokens, and where no tokens are asked for.
	all bool
	// proven are the macaroons that verified.
	proven []*macaroon.CaveatSet
	// mutation is the mutation of GraphQL that is being answered.
	mutation string
}

// email names the caller as a user.
func (who identity) email() string { return who.owner }

// access is what a request does to what, with the simulated time.
type access struct {
	flyio.Access
	at time.Time
}

// Now is the time that validity windows are compared with.
func (a *access) Now() time.Time { return a.at }

// Mint makes a macaroon for an organisation, with further caveats if any: flyio.Apps (by the app's
// numeric id), macaroon.ValidityWindow, resset.IfPresent … The result is what goes into
// FLY_API_TOKEN. From the first one on, every request needs a token.
func (s *Server) Mint(orgSlug string, caveats ...macaroon.Caveat) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mintFor(s.organization(orgSlug), caveats...)
}

func (s *Server) mintFor(o *org, caveats ...macaroon.Caveat) (string, error) {
	m, err := macaroon.New(s.mint.kid, flyio.LocationPermission, s.mint.key)
	if err != nil {
		return "", fmt.Errorf("make macaroon: %w", err)
	}
	all := append([]macaroon.Caveat{&flyio.Organization{ID: o.numeric, Mask: resset.ActionAll}}, caveats...)
	if err := m.Add(all...); err != nil {
		return "", fmt.Errorf("add caveats: %w", err)
	}
	text, err := m.String()
	if err != nil {
		return "", fmt.Errorf("encode macaroon: %w", err)
	}
	s.mint.used = true
	return text, nil
}

// identify reads and verifies the token of a request.
func (s *Server) identify(r *http.Request) (identity, answer, bool) {
	header := r.Header.Get("Authorization")
	scheme, text, _ := strings.Cut(header, " ")
	text = strings.TrimSpace(text)
	if text != "" && !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "flyv1") {
		text = ""
	}
	who := identity{owner: ownerOf(text), all: true}
	if !s.opts.Auth && len(s.opts.Tokens) == 0 && !s.mint.used {
		return who, answer{}, false
	}
	if text == "" {
		return who, fail(http.StatusUnauthorized, "unauthorized: the request carries no token"), true
	}
	if slices.ContainsFunc(s.opts.Tokens, func(t string) bool { return sameToken(t, text) }) {
		return who, answer{}, false
	}
	who.all = false
	who.proven, who.owner = s.verify(r.Context(), text, who.owner)
	if len(who.proven) == 0 {
		return who, fail(http.StatusUnauthorized, "unauthorized: token validation error"), true
	}
	return who, answer{}, false
}

// sameToken compares in constant time, with or without the scheme before the allowed one.
func sameToken(allowed, given string) bool {
	for _, scheme := range []string{"FlyV1 ", "Bearer "} {
		allowed = strings.TrimPrefix(allowed, scheme)
	}
	return subtle.ConstantTimeCompare([]byte(allowed), []byte(given)) == 1
}

func ownerOf(text string) string {
	if text == "" {
		return "anonymous@tokens.fly.io"
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8]) + "@tokens.fly.io"
}

func (s *Server) verify(ctx context.Context, text, owner string) ([]*macaroon.CaveatSet, string) {
	tokens, err := flyio.ParseBundle(text)
	if err != nil {
		return nil, owner
	}
	if s.revoked(text) {
		return nil, owner
	}
	sets, err := tokens.Verify(ctx, bundle.WithKey(s.mint.kid, s.mint.key, nil))
	if err != nil {
		return nil, owner
	}
	if emails := flyio.NonceEmails(tokens); len(emails) > 0 {
		owner = emails[0]
	}
	return sets, owner
}

// authorize tells whether the caller may do something to an organisation or to an app of it. What
// may not be done is refused; what belongs to another organisation, likewise.
func (s *Server) authorize(who identity, action resset.Action, o *org, a *app) (answer, bool) {
	to := flyio.Access{Action: action, OrgID: &o.numeric}
	if a != nil {
		to.AppID = &a.numeric
	}
	return s.permit(who, to)
}

// authorizeAddons is authorize for add-ons and managed Postgres, which are a feature of the organisation: a token for
// an app reaches them only where it is said to.
func (s *Server) authorizeAddons(who identity, action resset.Action, o *org) (answer, bool) {
	feature := flyio.FeatureAddOns
	return s.permit(who, flyio.Access{Action: action, OrgID: &o.numeric, Feature: &feature})
}

// authorizeRoute is authorize for what the path of a request names: an app, a machine or a volume of it, a
// command or the metadata of the machine.
func (s *Server) authorizeRoute(rt route, c *call) (answer, bool) {
	to := flyio.Access{Action: rt.action, OrgID: &c.app.org.numeric, AppID: &c.app.numeric}
	metadata := "metadata"
	if volume := c.r.PathValue("volume"); volume != "" {
		to.Volume = &volume
	}
	if id := c.r.PathValue("id"); id != "" && rt.scope == toMachine {
		to.Machine = &id
		switch {
		case strings.HasSuffix(rt.pattern, "/exec"):
			var in execInput
			_ = json.Unmarshal(c.body, &in) // what is no command is refused by the route
			if argv, err := in.argv(); err == nil {
				to.Command = argv
			}
		case strings.Contains(rt.pattern, "/"+metadata):
			to.MachineFeature = &metadata
		}
	}
	return s.permit(c.who, to)
}

// permit asks the caller's macaroons.
func (s *Server) permit(who identity, to flyio.Access) (answer, bool) {
	if who.all {
		return answer{}, false
	}
	if who.mutation != "" {
		to.Mutation = &who.mutation
	}
	var why error
	for _, set := range who.proven {
		if why = set.Validate(&access{Access: to, at: s.now()}); why == nil {
			return answer{}, false
		}
	}
	status := http.StatusForbidden
	if why != nil && strings.Contains(why.Error(), "valid until") { // a token outside its time is none
		status = http.StatusUnauthorized
	}
	return failf(status, "unauthorized"), true
}

// deployToken mints a token for one app.
func (s *Server) deployToken(c *call) answer {
	var in struct {
		Expiry string `json:"expiry"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	expiry := 20 * 365 * 24 * time.Hour
	if in.Expiry != "" {
		d, err := time.ParseDuration(in.Expiry)
		if err != nil || d <= 0 {
			return failf(http.StatusBadRequest, "invalid_argument: invalid expiry %q", in.Expiry)
		}
		expiry = d
	}
	text, err := s.mintDeploy(c.app.org, c.app, expiry)
	if err != nil {
		return failf(http.StatusInternalServerError, "internal: %v", err)
	}
	return ok(struct {
		Token string `json:"token"`
	}{"FlyV1 " + text})
}

// mintDeploy makes a token for a time, for one app or (nil) its whole organisation.
func (s *Server) mintDeploy(o *org, a *app, expiry time.Duration) (string, error) {
	now, used := s.now(), s.mint.used
	caveats := []macaroon.Caveat{&macaroon.ValidityWindow{NotBefore: now.Add(-time.Minute).Unix(), NotAfter: now.Add(expiry).Unix()}}
	if a != nil {
		caveats = append(caveats, &resset.IfPresent{
			Ifs:  macaroon.NewCaveatSet(&flyio.Apps{Apps: resset.New(resset.ActionAll, a.numeric)}, &flyio.FeatureSet{Features: resset.New(resset.ActionAll, flyio.FeatureWireGuard, flyio.FeatureRemoteBuilders)}),
			Else: resset.ActionRead,
		})
	}
	text, err := s.mintFor(o, caveats...)
	s.mint.used = used // a server that asks nobody for tokens does not begin to because of one
	return text, err
}

func (s *Server) currentToken(c *call) answer {
	type info struct {
		TokenID string   `json:"token_id"`
		User    string   `json:"user"`
		Org     string   `json:"org_slug"`
		Apps    []string `json:"apps"`
	}
	i := info{TokenID: strings.TrimSuffix(c.who.owner, "@tokens.fly.io"), User: c.who.owner, Apps: []string{}}
	for _, a := range s.sortedApps() {
		if _, refused := s.authorize(c.who, resset.ActionRead, a.org, a); !refused {
			i.Org, i.Apps = a.org.slug, append(i.Apps, a.name)
		}
	}
	return ok(struct {
		Tokens []info `json:"tokens"`
	}{[]info{i}})
}
