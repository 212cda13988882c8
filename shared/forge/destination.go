package forge

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Destination is where notices go. Its address is a secret: who knows it can write there.
type Destination struct {
	// URL takes the notices, by POST.
	URL string
	// Slack is true where it takes what Slack's incoming webhooks take. Others get JSON (Notice).
	Slack bool
	// Secret signs the JSON; empty leaves it unsigned.
	Secret string
}

// String hides what is secret.
func (d Destination) String() string {
	if d.Slack {
		return "slack"
	}
	return "webhook"
}

// GoString hides what is secret.
func (d Destination) GoString() string { return d.String() }

// MarshalText hides what is secret, also from a log in JSON.
func (d Destination) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// ParseDestinations reads the setting FLYCD_NOTIFY: entries NAME=URL, separated by commas or lines. A URL that begins
// with slack+https:// takes Slack's messages; any other takes JSON, signed with what follows a # in it. Addresses must be
// https, except in the machine's own network. No address is in an error.
func ParseDestinations(text string) (map[string]Destination, error) {
	list := map[string]Destination{}
	for i, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, address, ok := strings.Cut(entry, "=")
		if name = strings.TrimSpace(name); !ok || !plainDestination(name) {
			return nil, fmt.Errorf("entry %d of FLYCD_NOTIFY: expected NAME=https://… or NAME=slack+https://…, with a name of a-z, 0-9, - and _", i+1)
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("destination %s of FLYCD_NOTIFY is there twice", name)
		}
		d, ok := parseDestination(strings.TrimSpace(address))
		if !ok {
			return nil, fmt.Errorf("destination %s of FLYCD_NOTIFY: expected https://… (JSON; the secret that signs it after a #) or slack+https://…", name)
		}
		list[name] = d
	}
	return list, nil
}

func plainDestination(name string) bool {
	return name != "" && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func parseDestination(address string) (Destination, bool) {
	var d Destination
	address, d.Slack = strings.CutPrefix(address, "slack+")
	d.URL, d.Secret, _ = strings.Cut(address, "#")
	u, err := url.Parse(d.URL)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || d.Slack && d.Secret != "" {
		return Destination{}, false
	}
	return d, u.Scheme == "https" || u.Scheme == "http" && ownNetwork(u.Hostname())
}

// ownNetwork tells whether nobody else is on the way.
func ownNetwork(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".flycast") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate())
}
