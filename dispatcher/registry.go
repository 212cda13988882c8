package dispatcher

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// registryPath is where registries tell of pushes: GitHub's signed, others with a token behind it.
const registryPath = "/webhook/registry"

// admitted is a delivery whose sender knows a token. Only readRegistry makes one.
type admitted struct {
	contentType string
	body        []byte
}

// errNoToken is a delivery of a sender who knows none of our tokens.
var errNoToken = errors.New("not a registry token of this dispatcher: webhooks of registries go to POST " + registryPath + "/TOKEN")

// minToken is the length of a registry's token: 32 random bytes as hex are twice as long.
const minToken = 32

// CheckRegistryToken says what is wrong with a registry's token, without repeating it: it must be long, and a part
// of a path as it stands.
func CheckRegistryToken(token string) error {
	switch {
	case len(token) < minToken:
		return fmt.Errorf("has %d characters, %d at least are needed: choose a random one, such as openssl rand -hex 32 prints", len(token), minToken)
	case !plain(token, 256):
		return errors.New("is more than 256 characters long, or has others than letters, digits, - and _: choose a random one, such as openssl rand -hex 32 prints")
	}
	return nil
}

// admit compares a token with all that are in use, in a time that says nothing about them. An empty one fits
// nothing.
func admit(tokens []string, given string) bool {
	match, sum := 0, sha256.Sum256([]byte(given))
	for _, token := range tokens {
		if token == "" {
			continue
		}
		want := sha256.Sum256([]byte(token))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}

// readRegistry takes a registry's delivery off the wire. What it says is looked at only when its sender was
// admitted, and its body is not even read before.
func (s *Server) readRegistry(w http.ResponseWriter, r *http.Request) (event, error) {
	if !admit(s.RegistryTokens, r.PathValue("token")) {
		unread(w)
		return event{}, errNoToken
	}
	body, free, err := s.bodies.read(w, r, positive(s.BodyWithin, defaultBodyWithin))
	if free != nil {
		defer free()
	}
	if err != nil {
		return event{}, err
	}
	return parseRegistry(admitted{contentType: r.Header.Get("Content-Type"), body: body})
}

// unread has the connection closed after the answer: otherwise the body of a stranger would be waited for.
func unread(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// shown is a path as it may be told and logged: without a token.
func shown(path string) string {
	if i := strings.Index(path, registryPath+"/"); i >= 0 {
		return path[:i] + registryPath + "/TOKEN"
	}
	return path
}
