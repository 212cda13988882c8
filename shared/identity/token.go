package identity

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
)

// maxToken bounds a token: GitHub's have under 3 kB.
const maxToken = 16 << 10

// token is a JWT taken apart: two pieces of JSON and a signature over them. Nothing of it is proven before signedBy. One
// algorithm is expected, so no library of all of them is linked: the dispatcher has to stay small. A test holds it equal
// to one.
type token struct {
	header struct {
		Algorithm string `json:"alg"`
		Key       string `json:"kid"`
		// Critical are extensions that must be understood. None is.
		Critical json.RawMessage `json:"crit"`
	}
	unproven
	payload []byte
	// signed is what the signature is over.
	signed    string
	signature []byte
}

// parseToken gives false for what is no token of the form that is expected.
func parseToken(raw string) (t token, ok bool) {
	if len(raw) > maxToken {
		return token{}, false
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return token{}, false
	}
	var bytes [3][]byte
	for i, p := range parts {
		var err error
		if bytes[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil {
			return token{}, false
		}
	}
	t.payload, t.signature = bytes[1], bytes[2]
	t.signed = raw[:strings.LastIndex(raw, ".")]
	ok = json.Unmarshal(bytes[0], &t.header) == nil && json.Unmarshal(t.payload, &t.unproven) == nil
	return t, ok
}

// signedBy reports whether the owner of the key signed the token, by RS256 whatever the header says.
func (t token) signedBy(key *rsa.PublicKey) bool {
	sum := sha256.Sum256([]byte(t.signed))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
}

// keys are an issuer's by their id.
type keys map[string]*rsa.PublicKey

// keySet is how issuers publish their keys: a JWK set.
type keySet struct {
	Keys []struct {
		Type      string `json:"kty"`
		ID        string `json:"kid"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
		Modulus   string `json:"n"`
		Exponent  string `json:"e"`
	} `json:"keys"`
}

// keys leaves out what RS256 is not signed with, and keys whose size is none that is in use.
func (s keySet) keys() keys {
	out := keys{}
	for _, k := range s.Keys {
		if k.Type != "RSA" || k.ID == "" || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != "RS256" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.Modulus)
		if err != nil {
			continue
		}
		e, err := base64.RawURLEncoding.DecodeString(k.Exponent)
		if err != nil || len(e) > 4 {
			continue
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 {
			continue
		}
		out[k.ID] = key
	}
	return out
}
