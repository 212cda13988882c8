package flysim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// ulid makes an id that sorts by time, and by the order of asking where times are equal.
func (s *Server) ulid(at time.Time) string {
	s.ulids++
	var out [26]byte
	ms := uint64(max(0, at.UnixMilli()))
	for i := 9; i >= 0; i-- {
		out[i] = crockford[ms&31]
		ms >>= 5
	}
	n := s.ulids
	for i := 25; i >= 10; i-- {
		out[i] = crockford[n&31]
		n >>= 5
	}
	return string(out[:])
}

// machineID makes fourteen hexadecimal digits.
func (s *Server) machineID() string {
	return fmt.Sprintf("%014x", s.rng.Uint64()&0xffffffffffffff)
}

// token makes n bytes as hexadecimal digits.
func (s *Server) token(n int) string {
	out := ""
	for len(out) < 2*n {
		out += fmt.Sprintf("%016x", s.rng.Uint64())
	}
	return out[:2*n]
}

// machineName is what a machine without a name is called.
func (s *Server) machineName() string {
	first := []string{"aged", "billowing", "cold", "dark", "falling", "green", "hidden", "icy", "late", "misty", "quiet", "red", "silent", "small", "wild"}
	second := []string{"bird", "brook", "cloud", "dew", "field", "flower", "forest", "leaf", "moon", "pine", "rain", "river", "sea", "snow", "wind"}
	return fmt.Sprintf("%s-%s-%d", first[s.rng.IntN(len(first))], second[s.rng.IntN(len(second))], 1000+s.rng.IntN(9000))
}

// digest is a short fingerprint of a secret's value within an app.
func digest(appID, value string) string {
	sum := sha256.Sum256([]byte(appID + "\x00" + value))
	return hex.EncodeToString(sum[:8])
}
