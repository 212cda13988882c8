package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gigurra/flycd/shared/plan"
)

// fingerprint hashes what Fly shows of an app, but for what changes by itself: states, checks and
// times. Machines that are later found equal have not been touched by anybody.
func fingerprint(o plan.Observed) string {
	parts := []string{"fingerprint 1", o.App}
	for _, m := range o.Machines {
		parts = append(parts, "machine", m.ID, m.Region, m.ImageRef.Digest, canonicalJSON(m.Raw))
	}
	var rest []string
	for _, v := range o.Volumes {
		rest = append(rest, fmt.Sprint("volume ", v.ID, v.Name, v.Region, v.SizeGb))
	}
	for _, ip := range o.IPs {
		rest = append(rest, fmt.Sprint("ip ", ip.Address, ip.Region, ip.Shared, ip.Private))
	}
	for _, s := range o.Secrets {
		rest = append(rest, fmt.Sprint("secret ", s.Name, " ", s.Digest))
	}
	for _, c := range o.Certs {
		rest = append(rest, "cert "+c.Hostname)
	}
	slices.Sort(rest)
	return digest(append(parts, rest...)...)
}

// canonicalJSON sorts the keys. Numbers are kept as they are written.
func canonicalJSON(raw json.RawMessage) string {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return string(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(b)
}

// rests reports whether every machine does what its own config wants of it. It knows no manifest, and
// so says no where a manifest would be needed to say yes.
func rests(o plan.Observed) bool {
	if !o.Exists || len(o.Machines) == 0 {
		return false
	}
	return !slices.ContainsFunc(o.Machines, func(m plan.Machine) bool { return plan.Rests(m) != nil })
}
