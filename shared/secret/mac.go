package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/gigurra/flycd/shared/manifest"
)

// MAC gives 32 hexadecimal digits that are the same for the same app, name and value under the same key, and
// tell those who lack the key nothing. Without a key it is empty.
func MAC(key manifest.Secret, app, name string, value manifest.Secret) string {
	return mac(key, "flycd secret", app, name, value.Reveal())
}

// Sum is the MAC of several values by name, whatever their order. Without a key, or without values, it is
// empty.
func Sum(key manifest.Secret, app string, values map[string]manifest.Secret) string {
	if len(values) == 0 {
		return ""
	}
	parts := []string{"flycd secrets", app}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name, values[name].Reveal())
	}
	return mac(key, parts...)
}

// mac hashes the parts, each after its length, so that no two lists of parts are alike.
func mac(key manifest.Secret, parts ...string) string {
	if key.IsZero() {
		return ""
	}
	const digits = 32
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	for _, p := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		_, _ = h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))[:digits]
}
