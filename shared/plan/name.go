package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

const (
	longestName = 63
	ordinalRoom = 6
	hashDigits  = 8
)

// nameOf gives a machine's name: app-group-region-ordinal, such as shop-web-ams-0, in DNS letters
// and 63 of them at most. Where Fly chooses the region it says any. A name that had to be bent or
// cut ends in a hash of what it was, so that two groups never share one. Fly refuses a second
// machine of a name, so a create that comes late or twice collides instead of doubling.
func nameOf(app, group, region string, ordinal int) string {
	return stem(app, group, region) + "-" + strconv.Itoa(ordinal)
}

func stem(app, group, region string) string {
	if region == "" {
		region = "any"
	}
	full := app + "-" + group + "-" + region
	safe := strings.Trim(strings.Map(dnsLetter, strings.ToLower(full)), "-")
	if safe == full && len(safe)+ordinalRoom <= longestName {
		return safe
	}
	sum := sha256.Sum256([]byte(app + "\x00" + group + "\x00" + region))
	most := longestName - ordinalRoom - hashDigits - 1
	return strings.TrimRight(safe[:min(len(safe), most)], "-") + "-" + hex.EncodeToString(sum[:])[:hashDigits]
}

func dnsLetter(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// placed reports whether FlyCD put the machine where it is: its name says so.
func placed(app, group string, m Machine) bool {
	for _, region := range []string{m.Region, ""} {
		if n, ok := strings.CutPrefix(m.Name, stem(app, group, region)+"-"); ok {
			if _, err := strconv.ParseUint(n, 10, 32); err == nil {
				return true
			}
		}
	}
	return false
}
