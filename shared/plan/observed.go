package plan

import (
	"encoding/json"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// Observed is what Fly holds for one app now.
type Observed struct {
	// Exists is false where the app does not; everything else is then zero.
	Exists bool
	App    string
	Org    string
	// Machines are those of the app's groups and any others, in the order of their ids; destroyed
	// ones and ephemeral ones (release commands, consoles) are left out.
	Machines []Machine
	Volumes  []flygo.Volume
	IPs      []IP
	// Secrets, Certs and Addons are looked at only where Scope asks for them. Addons are those of the
	// organisation that Scope names.
	Secrets []Secret
	Certs   []Cert
	Addons  []Addon
	// Commands are the ephemeral machines of release commands, seeds and checks of this app that Fly still
	// knows, destroyed ones included, newest first. Only looked at where Scope asks for them.
	Commands []Machine
}

// Scope says what to observe of an app beside its machines, volumes and addresses. The zero value is
// the least.
type Scope struct {
	Secrets, Certs, Commands bool
	// Addons are looked for by their types and names.
	Addons []machine.Addon
	// Recorded adds the add-ons that the app's machines name in their metadata: see Recorded.
	Recorded bool
	// Egress adds the app's egress addresses to IPs: one more request.
	Egress bool
}

// ScopeOf gives what Diff needs to know for the target.
func ScopeOf(t machine.Target) Scope {
	s := Scope{
		Secrets:  len(t.Secrets) > 0 || t.PruneSecrets || len(t.Addons) > 0,
		Certs:    len(t.Certs) > 0 || t.Prune,
		Recorded: t.Prune,
		Egress:   t.PruneIPs,
		Commands: t.ReleaseCommand != nil || t.SeedCommand != nil || len(t.Checks) > 0,
	}
	for _, a := range t.Addons {
		if a.From == "" {
			s.Addons = append(s.Addons, a)
		}
	}
	for _, ip := range t.IPs {
		s.Egress = s.Egress || ip.Type == "egress"
	}
	return s
}

// Secret is an observed secret of the app: its name and Fly's own digest, never its value.
type Secret struct{ Name, Digest string }

// Cert is an observed certificate.
type Cert struct {
	Hostname string
	// Issued reports that the certificate is there and the host name leads to the app.
	Issued bool
	// Pending are the DNS records that are still to be made, a line each, such as "A example.com → 1.2.3.4".
	Pending []string
}

// Addon is an observed service.
type Addon struct {
	Type, Name, ID, State string
	// Ready reports that it can be used.
	Ready bool
	// Values are the secrets that attach it, by name, where Fly tells them; nil where it does not.
	Values map[string]manifest.Secret
}

// Machine is an observed machine with the bytes that Fly sent, so that what fly-go does not know is
// kept when the machine is updated.
type Machine struct {
	*flygo.Machine
	// Raw is the JSON object of the machine's config.
	Raw json.RawMessage
}

// IP is an observed address.
type IP struct {
	Address, Region string
	Shared, Private bool
	// Egress is true of an address to call out from.
	Egress bool
}
