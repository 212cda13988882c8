package identity_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/identity"
)

const audience = "https://flycd.example"

// issuer is one on the wire, with a key that it may exchange.
type issuer struct {
	*httptest.Server
	t       *testing.T
	fetches atomic.Int64
	mu      sync.Mutex
	key     *rsa.PrivateKey
	kid     string
	// answer, where it is set, is what is answered instead of keys.
	answer http.HandlerFunc
	// document changes what the issuer says of itself.
	document map[string]any
	now      time.Time
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, kid: "k1", now: time.Unix(1_800_000_000, 0)}
	i.rotate("k1")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		doc := map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		maps.Copy(doc, i.document)
		_ = json.NewEncoder(w).Encode(doc)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.answer != nil {
			i.answer(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": i.kid, "n": b64(i.key.N.Bytes()), "e": b64(big.NewInt(int64(i.key.E)).Bytes()),
		}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) rotate(kid string) {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	need(i.t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.kid = key, kid
}

func (i *issuer) verifier() *identity.Verifier {
	return &identity.Verifier{Issuer: i.URL, Audience: audience, Now: func() time.Time { return i.now }}
}

func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "repo:acme/web:ref:refs/heads/main", "exp": i.now.Add(5 * time.Minute).Unix(), "iat": i.now.Unix(), "nbf": i.now.Unix(),
		"repository": "acme/web", "repository_id": "7", "repository_owner": "acme", "ref": "refs/heads/main", "sha": "abc", "actor": "ann",
		"event_name": "push", "environment": "production", "workflow_ref": "acme/web/.github/workflows/d.yml@refs/heads/main", "jti": "j",
	}
	maps.Copy(c, change)
	return c
}

func (i *issuer) sign(header, claims map[string]any) string {
	i.t.Helper()
	h := map[string]any{"alg": "RS256", "typ": "JWT", "kid": i.kid}
	maps.Copy(h, header)
	text := part(i.t, h) + "." + part(i.t, claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	need(i.t, err)
	return text + "." + b64(sig)
}

func part(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	need(t, err)
	return b64(b)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSignedTokenSaysWhoItIs(t *testing.T) {
	i := newIssuer(t)
	for name, change := range map[string]map[string]any{
		"one audience":      nil,
		"several audiences": {"aud": []string{"https://other.example", audience}},
		"just over":         {"exp": i.now.Add(-30 * time.Second).Unix()},
		"clock is behind":   {"nbf": i.now.Add(time.Minute).Unix(), "iat": i.now.Add(time.Minute).Unix()},
	} {
		c, err := i.verifier().Verify(t.Context(), i.sign(nil, i.claims(change)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := identity.Claims{
			Issuer: i.URL, Subject: "repo:acme/web:ref:refs/heads/main", ID: "j", Repository: "acme/web", RepositoryID: "7", Owner: "acme", Ref: "refs/heads/main",
			SHA: "abc", Actor: "ann", Event: "push", Environment: "production", WorkflowRef: "acme/web/.github/workflows/d.yml@refs/heads/main", Expires: c.Expires, IssuedAt: c.IssuedAt,
		}
		if c != want || c.Expires.IsZero() {
			t.Errorf("%s: got %+v, want %+v", name, c, want)
		}
	}
}

func TestForgedAndForeignTokensAreNotTrusted(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	good := i.sign(nil, i.claims(nil))
	parts := strings.Split(good, ".")
	public, err := json.Marshal(i.key.N)
	need(t, err)
	mac := hmac.New(sha256.New, public)
	symmetric := part(t, map[string]any{"alg": "HS256", "kid": "k1"}) + "." + parts[1]
	mac.Write([]byte(symmetric))
	for name, raw := range map[string]string{
		"empty":                  "",
		"no token":               "hello",
		"two parts":              parts[0] + "." + parts[1],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"alg none":               part(t, map[string]any{"alg": "none"}) + "." + parts[1] + ".",
		"alg HS256":              symmetric + "." + b64(mac.Sum(nil)),
		"alg RS512":              i.sign(map[string]any{"alg": "RS512"}, i.claims(nil)),
		"changed claims":         parts[0] + "." + part(t, i.claims(map[string]any{"repository": "evil/evil"})) + "." + parts[2],
		"another's key":          other.sign(nil, i.claims(nil)),
		"another's token":        other.sign(nil, other.claims(nil)),
		"issuer with a slash":    i.sign(nil, i.claims(map[string]any{"iss": i.URL + "/"})),
		"no issuer":              i.sign(nil, i.claims(map[string]any{"iss": nil})),
		"another audience":       i.sign(nil, i.claims(map[string]any{"aud": "https://github.com/acme"})),
		"audience in part":       i.sign(nil, i.claims(map[string]any{"aud": audience + "/x"})),
		"no audience":            i.sign(nil, i.claims(map[string]any{"aud": nil})),
		"over":                   i.sign(nil, i.claims(map[string]any{"exp": i.now.Add(-2 * time.Minute).Unix()})),
		"no end":                 i.sign(nil, i.claims(map[string]any{"exp": nil})),
		"end is no number":       i.sign(nil, i.claims(map[string]any{"exp": "never"})),
		"not yet":                i.sign(nil, i.claims(map[string]any{"nbf": i.now.Add(time.Hour).Unix()})),
		"too long":               i.sign(nil, i.claims(map[string]any{"x": strings.Repeat("x", 20<<10)})),
		"repository is a list":   i.sign(nil, i.claims(map[string]any{"repository": []string{"acme/web"}})),
		"key of its own":         other.sign(map[string]any{"jwk": map[string]string{"kty": "RSA", "n": b64(other.key.N.Bytes()), "e": "AQAB"}}, i.claims(nil)),
		"an extension":           i.sign(map[string]any{"crit": []string{"b64"}, "b64": false}, i.claims(nil)),
		"no key named":           i.sign(map[string]any{"kid": nil}, i.claims(nil)),
		"two tokens, one behind": good + "." + good,
		"padding":                parts[0] + "." + parts[1] + "=." + parts[2],
	} {
		c, err := i.verifier().Verify(t.Context(), raw)
		if !errors.Is(err, identity.ErrUntrusted) || c != (identity.Claims{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if len(raw) > 100 && strings.Contains(fmt.Sprint(err), raw[len(raw)-40:]) {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
}

func TestStrangersTokensCostNoRequest(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v := i.verifier()
	for range 20 {
		if _, err := v.Verify(t.Context(), other.sign(nil, other.claims(nil))); !errors.Is(err, identity.ErrUntrusted) {
			t.Fatal(err)
		}
	}
	if n := i.fetches.Load() + other.fetches.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestKeysAreKeptAndForgeriesDoNotFetchThemAgainAndAgain(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v := i.verifier()
	good := i.sign(nil, i.claims(nil))
	for range 5 {
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d requests for keys, want one", n)
	}
	for k := range 20 {
		if _, err := v.Verify(t.Context(), other.sign(map[string]any{"kid": fmt.Sprint(k)}, i.claims(nil))); err == nil {
			t.Fatal("a forgery passes")
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d requests for keys after forgeries within moments, want none more", n)
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("a good one among forgeries: %v", err)
	}
}

func TestExchangedKeyIsFetched(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	old := i.sign(nil, i.claims(nil))
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	i.rotate("k2")
	i.now = i.now.Add(20 * time.Second)
	if _, err := v.Verify(t.Context(), i.sign(nil, i.claims(nil))); err != nil {
		t.Errorf("under the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), old); err == nil {
		t.Error("the key that is gone is still good after the new ones are known")
	}
}

func TestKeyThatWasTakenAwayIsForgottenInAnHour(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	if _, err := v.Verify(t.Context(), i.sign(nil, i.claims(nil))); err != nil {
		t.Fatal(err)
	}
	i.now = i.now.Add(2 * time.Hour)
	stolen := i.sign(nil, i.claims(nil))
	i.rotate("k2")
	if _, err := v.Verify(t.Context(), stolen); !errors.Is(err, identity.ErrUntrusted) {
		t.Errorf("got %v", err)
	}
}

// TestUnreachableIssuerIsNotAForgery: whoever asks may come again.
func TestUnreachableIssuerIsNotAForgery(t *testing.T) {
	for name, change := range map[string]func(*issuer){
		"answers 500":         func(i *issuer) { i.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) } },
		"cuts the connection": func(i *issuer) { i.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) } },
		"redirects": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			}
		},
		"answers without end": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) }
		},
		"says it is another":    func(i *issuer) { i.document = map[string]any{"issuer": "https://other.example"} },
		"has keys over http":    func(i *issuer) { i.document = map[string]any{"jwks_uri": "http://keys.example/keys"} },
		"has keys in a file":    func(i *issuer) { i.document = map[string]any{"jwks_uri": "file:///etc/passwd"} },
		"has keys near the API": func(i *issuer) { i.document = map[string]any{"jwks_uri": "http://169.254.169.254/keys"} },
	} {
		i := newIssuer(t)
		change(i)
		v := i.verifier()
		raw := i.sign(nil, i.claims(nil))
		if _, err := v.Verify(t.Context(), raw); err == nil || errors.Is(err, identity.ErrUntrusted) {
			t.Errorf("%s: %v, want an error that is no verdict", name, err)
		}
		i.mu.Lock()
		i.answer, i.document = nil, nil
		i.mu.Unlock()
		i.now = i.now.Add(2 * time.Hour)
		if _, err := v.Verify(t.Context(), i.sign(nil, i.claims(nil))); err != nil {
			t.Errorf("%s, and is well again: %v", name, err)
		}
	}
}

func TestVerifierWithoutIssuerOrAudienceTrustsNobody(t *testing.T) {
	i := newIssuer(t)
	raw := i.sign(nil, i.claims(map[string]any{"aud": "", "iss": ""}))
	for _, v := range []*identity.Verifier{{}, {Issuer: i.URL}, {Audience: audience}} {
		if _, err := v.Verify(t.Context(), raw); err == nil {
			t.Errorf("%s for %s trusts", v.Issuer, v.Audience)
		}
	}
}

func TestVerifierIsSharedByMany(t *testing.T) {
	i := newIssuer(t)
	v, raw := i.verifier(), i.sign(nil, i.claims(nil))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), raw); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzForeignTokensAreRefused(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzcyIsImF1ZCI6WyJhIl0sImV4cCI6MWU5OX0.")
	f.Fuzz(func(t *testing.T, raw string) {
		_ = identity.Issuer(raw)
		v := &identity.Verifier{Issuer: "https://iss.invalid", Audience: audience, HTTP: &http.Client{Transport: deaf{}}}
		if _, err := v.Verify(t.Context(), raw); err == nil {
			t.Errorf("%q is trusted", raw)
		}
	})
}

// deaf reaches nobody.
type deaf struct{}

// RoundTrip is for http.RoundTripper.
func (deaf) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody is there")
}
