package dispatcher_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/identity"
)

const callToken = "dispatch-token-of-thirty-two-characters"

// signingKey is one for all tests: making one takes a while.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// actions signs for workflows as GitHub does.
type actions struct {
	*httptest.Server
	t    *testing.T
	down bool
}

func newActions(t *testing.T) *actions {
	t.Helper()
	a := &actions{t: t}
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.down:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": a.URL, "jwks_uri": a.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
				"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
			}}})
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// callers lets holders of callToken and the workflows of the repositories in.
func (a *actions) callers(repos ...string) settings {
	return func(h *house) {
		h.d.Callers = dispatcher.Callers{
			Tokens: []string{"another-" + callToken, callToken}, Repos: repos,
			Workflows: &identity.Verifier{Issuer: a.URL, Audience: "flycd"},
		}
	}
}

// token is that of a push's workflow in codertocat/hello-world, with changes.
func (a *actions) token(change map[string]any) string {
	a.t.Helper()
	key, err := signingKey()
	if err != nil {
		a.t.Fatal(err)
	}
	claims := map[string]any{
		"iss": a.URL, "aud": "flycd", "exp": time.Now().Add(5 * time.Minute).Unix(), "iat": time.Now().Unix(), "nbf": time.Now().Unix(),
		"sub": "repo:Codertocat/Hello-World:ref:refs/heads/master", "repository": "Codertocat/Hello-World", "ref": "refs/heads/master", "event_name": "push", "actor": "ann",
	}
	maps.Copy(claims, change)
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "k1"})
	if err != nil {
		a.t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		a.t.Fatal(err)
	}
	text := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return text + "." + b64(sig)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
