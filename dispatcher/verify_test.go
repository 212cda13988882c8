package dispatcher

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestGitHubsVectorIsVerified(t *testing.T) {
	d := delivery{body: []byte("Hello, World!"), signature: "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
	if _, ok := verify([]string{"It's a Secret to Everybody"}, d); !ok {
		t.Error("GitHub's own example is refused")
	}
}

func TestEachSecretVerifies(t *testing.T) {
	for _, secret := range []string{"old", "new"} {
		if _, ok := verify([]string{"old", "new"}, delivery{body: []byte("x"), signature: sign(secret, "x")}); !ok {
			t.Errorf("signed with %q: refused", secret)
		}
	}
}

func TestForgedIsNotVerified(t *testing.T) {
	old := hmac.New(sha1.New, []byte("secret"))
	old.Write([]byte("x"))
	right := sign("secret", "x")
	for name, signature := range map[string]string{
		"none":                    "",
		"another secret":          sign("other", "x"),
		"another body":            sign("secret", "y"),
		"the empty secret":        sign("", "x"),
		"SHA-1":                   "sha1=" + hex.EncodeToString(old.Sum(nil)),
		"SHA-1 under another tag": "sha256=" + hex.EncodeToString(old.Sum(nil)),
		"no tag":                  strings.TrimPrefix(right, "sha256="),
		"cut short":               right[:len(right)-2],
		"one digit short":         right[:len(right)-1],
		"too long":                right + "00",
		"no hex":                  "sha256=" + strings.Repeat("g", 64),
		"the tag alone":           "sha256=",
		"the tag in capitals":     strings.ToUpper(right[:7]) + right[7:],
		"trailing space":          right + " ",
	} {
		if _, ok := verify([]string{"secret", ""}, delivery{body: []byte("x"), signature: signature}); ok {
			t.Errorf("%s: %q verifies", name, signature)
		}
	}
	for _, secrets := range [][]string{nil, {}, {""}} {
		if _, ok := verify(secrets, delivery{body: []byte("x"), signature: sign("", "x")}); ok {
			t.Errorf("without a secret (%q) everybody is let in", secrets)
		}
	}
}

func TestBearerIsComparedWhole(t *testing.T) {
	for header, want := range map[string]bool{
		"Bearer token": true, "bearer token": true, "Bearer  token": true,
		"": false, "token": false, "Bearer": false, "Bearer ": false, "Bearer toke": false, "Bearer tokens": false, "Basic token": false,
	} {
		if got := bearer(header, "token"); got != want {
			t.Errorf("%q: got %t, want %t", header, got, want)
		}
	}
	if bearer("Bearer ", "") {
		t.Error("the empty token lets everybody in")
	}
}

// FuzzSignature looks for a header that passes for a signature and is none.
func FuzzSignature(f *testing.F) {
	f.Add([]byte("x"), sign("secret", "x"))
	f.Add([]byte("x"), sign("other", "x"))
	f.Add([]byte{}, "sha256=")
	f.Add([]byte("x"), "sha256="+strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		_, ok := verify([]string{"secret"}, delivery{body: body, signature: signature})
		want := sign("secret", string(body))
		if ok != (len(signature) == len(want) && signature[:7] == want[:7] && strings.EqualFold(signature, want)) {
			t.Errorf("body %q, signature %q: got %t", body, signature, ok)
		}
	})
}
