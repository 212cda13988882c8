package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gigurra/flycd/shared/identity"
)

// TestALibraryTrustsTheSame: what is trusted here is what a library that knows all algorithms takes by RS256.
func TestALibraryTrustsTheSame(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	good := i.sign(nil, i.claims(nil))
	all := []string{good, good + ".", "." + good, strings.TrimSuffix(good, good[len(good)-4:])}
	for at := 0; at < len(good); at += 7 {
		all = append(all, good[:at]+string(good[at]^1)+good[at+1:])
	}
	trusted := 0
	for _, raw := range all {
		_, mine := v.Verify(t.Context(), raw)
		signed, theirs := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
		if theirs == nil {
			_, theirs = signed.Verify(&i.key.PublicKey)
		}
		if mine == nil {
			trusted++
		}
		if mine == nil && theirs != nil || raw == good && (mine != nil || theirs != nil) {
			t.Errorf("%s: %v, the library: %v", raw, mine, theirs)
		}
	}
	if trusted != 1 {
		t.Errorf("%d of %d are trusted, want the one that was signed", trusted, len(all))
	}
}

func TestKeysThatNobodyShouldUseAreNotTaken(t *testing.T) {
	for name, change := range map[string]func(*issuer, map[string]any){
		"short": func(i *issuer, k map[string]any) {
			var err error
			i.key, err = rsa.GenerateKey(rand.Reader, 1024)
			need(t, err)
			k["n"] = b64(i.key.N.Bytes())
		},
		"for encryption":        func(_ *issuer, k map[string]any) { k["use"] = "enc" },
		"of another algorithm":  func(_ *issuer, k map[string]any) { k["alg"] = "PS256" },
		"of another kind":       func(_ *issuer, k map[string]any) { k["kty"] = "oct" },
		"exponent of one":       func(_ *issuer, k map[string]any) { k["e"] = b64([]byte{1}) },
		"exponent is very long": func(_ *issuer, k map[string]any) { k["e"] = b64([]byte{1, 0, 0, 0, 1, 0, 1}) },
		"modulus is no number":  func(_ *issuer, k map[string]any) { k["n"] = base64.StdEncoding.EncodeToString([]byte{255, 255}) },
	} {
		i := newIssuer(t)
		k := map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": i.kid, "n": b64(i.key.N.Bytes()), "e": "AQAB"}
		change(i, k)
		i.answer = func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{k}})
		}
		if _, err := i.verifier().Verify(t.Context(), i.sign(nil, i.claims(nil))); !errors.Is(err, identity.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGoodTokenDoesNotWaitForAForgery(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v, good := i.verifier(), i.sign(nil, i.claims(nil))
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	i.now = i.now.Add(20 * time.Second)
	asked, answer := make(chan struct{}), make(chan struct{})
	i.answer = func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	}
	done := make(chan error)
	go func() {
		_, err := v.Verify(t.Context(), other.sign(map[string]any{"kid": "x"}, i.claims(nil)))
		done <- err
	}()
	<-asked
	// the issuer does not answer before the good one is through
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Error(err)
	}
	close(answer)
	if err := <-done; err == nil {
		t.Error("a forgery passes")
	}
}
