package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// maxToken bounds a token: GitHub's have under 3 kB.
	maxToken = 16 << 10
	// skew is how far this clock and the issuer's may be apart.
	skew = time.Minute
	// keepKeys is how long an issuer's document and keys are taken for current.
	keepKeys = time.Hour
)

// ErrUntrusted marks a token that proves nothing: forged, expired, for somebody else, or none at all. Every other
// error of a Verifier means that it could not be found out.
var ErrUntrusted = errors.New("not trusted")

// Verifier checks the tokens of one issuer that are made for one audience. Fill the fields and use it; it may be
// used by several at once, and must not be copied.
type Verifier struct {
	// Issuer is the issuer's address, exactly as its tokens have it: https, or http on this host.
	Issuer string
	// Audience is what tokens must be made for, exactly.
	Audience string
	// HTTP fetches the issuer's keys; nil means one of its own. Redirects are not followed.
	HTTP *http.Client
	// Now may be nil: the clock.
	Now func() time.Time

	mu     sync.Mutex
	keys   *oidc.RemoteKeySet
	loaded time.Time
	client *http.Client
}

// Verify gives the claims of a token that the issuer has signed for the audience and whose time is now. An error
// that wraps ErrUntrusted says that there is no such thing; any other, that the issuer's keys could not be had, or
// that the Verifier's fields make no sense. The token is in no error.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if v.Issuer == "" || v.Audience == "" {
		return Claims{}, errors.New("verify identity: no issuer or no audience is set")
	}
	if err := v.plausible(raw); err != nil {
		return Claims{}, fmt.Errorf("verify identity: %w: %w", ErrUntrusted, err)
	}
	set, err := v.keySet(ctx)
	if err != nil {
		return Claims{}, fmt.Errorf("verify identity: %w", err)
	}
	asked := &asking{set: set}
	config := &oidc.Config{
		ClientID: v.Audience, SupportedSigningAlgs: []string{oidc.RS256},
		Now: func() time.Time { return v.now().Add(-skew) },
	}
	token, err := oidc.NewVerifier(v.Issuer, asked, config).Verify(ctx, raw)
	switch {
	case asked.unreachable != nil:
		return Claims{}, fmt.Errorf("verify identity: %w", asked.unreachable)
	case err != nil:
		return Claims{}, fmt.Errorf("verify identity: %w: %w", ErrUntrusted, err)
	}
	claims := Claims{Expires: token.Expiry, IssuedAt: token.IssuedAt}
	if err := token.Claims(&claims); err != nil {
		return Claims{}, fmt.Errorf("verify identity: %w: its claims make no sense", ErrUntrusted)
	}
	return claims, nil
}

// plausible looks at what a token says of itself, so that a stranger's costs no request.
func (v *Verifier) plausible(raw string) error {
	u, ok := peek(raw)
	switch {
	case !ok:
		return errors.New("it is no token of the form that is expected")
	case u.Issuer != v.Issuer:
		return fmt.Errorf("its issuer is not %s", v.Issuer)
	case !slices.Contains(u.Audience, v.Audience):
		return fmt.Errorf("it was not made for %s", v.Audience)
	case u.Expiry <= 0 || v.now().Add(-skew).After(time.Unix(int64(u.Expiry), 0)):
		return errors.New("its time is over")
	}
	return nil
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// keySet gives the issuer's keys, which are fetched when the first token needs one.
func (v *Verifier) keySet(ctx context.Context) (*oidc.RemoteKeySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil && v.now().Sub(v.loaded) < keepKeys {
		return v.keys, nil
	}
	if v.client == nil {
		v.client = guarded(v.HTTP, v.now)
	}
	fetched, cancel := context.WithTimeout(oidc.ClientContext(ctx, v.client), fetchTime)
	defer cancel()
	provider, err := oidc.NewProvider(fetched, v.Issuer)
	if err != nil {
		return nil, fmt.Errorf("read what %s says of itself: %w", v.Issuer, err)
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("read what %s says of itself: %w", v.Issuer, err)
	}
	v.keys, v.loaded = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), v.client), document.Keys), v.now()
	return v.keys, nil
}

// asking is one use of a key set. It remembers whether keys could not be had, which the library turns into text.
type asking struct {
	set         oidc.KeySet
	unreachable error
}

// VerifySignature is for oidc.KeySet.
func (a *asking) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := a.set.VerifySignature(ctx, raw)
	var u *unreachable
	if errors.As(err, &u) || ctx.Err() != nil {
		a.unreachable = fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	return payload, err
}
