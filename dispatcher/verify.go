package dispatcher

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// delivery is a webhook request as it came. Nothing of it is to be believed.
type delivery struct {
	// signature, contentType, event and guid are headers; only the body is signed.
	signature, contentType, event, guid string
	body                                []byte
}

// verified is a delivery whose body was signed with one of our secrets. Only verify makes one.
type verified struct{ delivery }

// verify checks the signature of the raw body. Every secret is tried, so that one can be replaced
// without losing a delivery; the time it takes says nothing about which one fitted. There is no
// fallback to the SHA-1 header, and an empty secret verifies nothing.
func verify(secrets []string, d delivery) (verified, bool) {
	text, ok := strings.CutPrefix(d.signature, "sha256=")
	if !ok {
		return verified{}, false
	}
	var want [sha256.Size]byte
	if n, err := hex.Decode(want[:], []byte(text[:min(len(text), 2*sha256.Size)])); err != nil || n != sha256.Size || len(text) != 2*sha256.Size {
		return verified{}, false
	}
	match := 0
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(d.body)
		var sum [sha256.Size]byte
		match |= subtle.ConstantTimeCompare(mac.Sum(sum[:0]), want[:])
	}
	return verified{d}, match == 1
}

// token is what an Authorization header bears, empty where that is none.
func token(header string) string {
	scheme, given, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(given)
}

// bearer compares the Authorization header with a token in constant time, whatever their lengths.
// An empty token fits nothing.
func bearer(header, want string) bool {
	if want == "" || token(header) == "" {
		return false
	}
	a, b := sha256.Sum256([]byte(token(header))), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
