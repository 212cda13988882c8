package plan

import (
	"fmt"
	"slices"
)

// certs gives the certificates to ask for, and those that go.
func certs(o Observed, want Intent) (add []AddCert, remove []RemoveCert, notes []string) {
	t, ignore := want.Target, ignoredOf(want.Target)
	for _, host := range t.Certs {
		known := slices.ContainsFunc(o.Certs, func(c Cert) bool { return c.Hostname == host })
		left := o.Exists && ignore.covers("certs", host)
		if !known && !left {
			add = append(add, AddCert{App: t.App, Hostname: host})
		}
	}
	if !t.Prune {
		return add, nil, nil
	}
	for _, c := range o.Certs {
		switch {
		case slices.Contains(t.Certs, c.Hostname) || ignore.covers("certs", c.Hostname):
		case want.Confirm:
			remove = append(remove, RemoveCert{App: t.App, Hostname: c.Hostname, Why: "the manifest no longer names it"})
		default:
			notes = append(notes, fmt.Sprintf("certificate %s would be removed, since the manifest no longer names it: %s", c.Hostname, confirmHint))
		}
	}
	return add, remove, notes
}
