package identity

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// skew is how far this clock and the issuer's may be apart.
	skew = time.Minute
	// keepKeys is how long an issuer's keys are taken for current.
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

	// fetching is held by whoever asks the issuer; it guards again and client.
	fetching sync.Mutex
	// again is when the issuer may be asked next.
	again  time.Time
	client *http.Client

	// mu guards the keys: who has a token under a known one does not wait for who asks.
	mu     sync.Mutex
	keys   keys
	loaded time.Time
}

// Verify gives the claims of a token that the issuer has signed for the audience and whose time is now. An error
// that wraps ErrUntrusted says that there is no such thing; any other, that the issuer's keys could not be had, or
// that the Verifier's fields make no sense. The token is in no error.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if v.Issuer == "" || v.Audience == "" {
		return Claims{}, errors.New("verify identity: no issuer or no audience is set")
	}
	t, ok := parseToken(raw)
	if !ok {
		return Claims{}, fmt.Errorf("verify identity: %w: it is no token of the form that is expected", ErrUntrusted)
	}
	if err := v.plausible(t); err != nil {
		return Claims{}, fmt.Errorf("verify identity: %w: %w", ErrUntrusted, err)
	}
	key, err := v.key(ctx, t.header.Key)
	if err != nil {
		return Claims{}, fmt.Errorf("verify identity: %w", err)
	}
	if key == nil || !t.signedBy(key) {
		return Claims{}, fmt.Errorf("verify identity: %w: %s has not signed it", ErrUntrusted, v.Issuer)
	}
	claims := Claims{Expires: time.Unix(int64(t.Expiry), 0), IssuedAt: time.Unix(int64(t.Issued), 0)}
	if json.Unmarshal(t.payload, &claims) != nil {
		return Claims{}, fmt.Errorf("verify identity: %w: its claims make no sense", ErrUntrusted)
	}
	return claims, nil
}

// plausible looks at what a token says of itself, so that a stranger's costs no request.
func (v *Verifier) plausible(t token) error {
	switch now := v.now(); {
	case t.header.Algorithm != "RS256" || t.header.Critical != nil:
		return errors.New("it is not signed by RS256 alone")
	case t.Issuer != v.Issuer:
		return fmt.Errorf("its issuer is not %s", v.Issuer)
	case !slices.Contains(t.Audience, v.Audience):
		return fmt.Errorf("it was not made for %s", v.Audience)
	case t.Expiry <= 0 || t.Expiry < float64(now.Add(-skew).Unix()):
		return errors.New("its time is over")
	case t.Begin > float64(now.Add(skew).Unix()):
		return errors.New("its time has not come")
	}
	return nil
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// key gives the issuer's key of that id, nil where it has none. The issuer is asked where the key is not known; one ask
// serves all who wait for it, also when the caller who began it is gone.
func (v *Verifier) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	if k := v.known(id); k != nil {
		return k, nil
	}
	v.fetching.Lock()
	defer v.fetching.Unlock()
	if k := v.known(id); k != nil {
		return k, nil
	}
	if v.now().Before(v.again) {
		return nil, fmt.Errorf("the keys of %s were asked for moments ago, and this one was not among them: try again in some seconds", v.Issuer)
	}
	if v.client == nil {
		v.client = careful(v.HTTP)
	}
	got, err := fetchKeys(context.WithoutCancel(ctx), v.client, v.Issuer)
	if err != nil {
		v.again = v.now().Add(failedPause)
		return nil, err
	}
	v.again = v.now().Add(fetchPause)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys, v.loaded = got, v.now()
	return got[id], nil
}

// known gives a key that was fetched within the hour.
func (v *Verifier) known(id string) *rsa.PublicKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now().Sub(v.loaded) >= keepKeys {
		return nil
	}
	return v.keys[id]
}
