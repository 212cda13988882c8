package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/machine"
)

const (
	// unknownMAC stands in a seal for a value that nobody can tell.
	unknownMAC = "-"
	// unknownDigest stands in the seal of a plan for the digest that Fly is going to give a secret.
	unknownDigest = "?"
)

// sealEntry is what a machine says of one secret.
type sealEntry struct{ mac, digest string }

// parseSeal reads metadata flycd_secrets; what is not understood is left out.
func parseSeal(text string) map[string]sealEntry {
	all := map[string]sealEntry{}
	for field := range strings.FieldsSeq(text) {
		name, rest, ok := strings.Cut(field, "=")
		mac, digest, parted := strings.Cut(rest, ".")
		if ok && parted {
			all[name] = sealEntry{mac, digest}
		}
	}
	return all
}

func (e sealEntry) String() string { return e.mac + "." + e.digest }

// sealText is the metadata's form.
func sealText(all map[string]sealEntry) string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fields = append(fields, name+"="+all[name].String())
	}
	return strings.Join(fields, " ")
}

// secrets decides which secrets are set and removed, and what the machines' seal says.
type secrets struct {
	want    Intent
	ignore  ignored
	digests map[string]string
	sealed  []Machine
	// fresh is true of an app without machines. Idle is one that is to have
	// none: nobody reads its secrets, and nothing can tell what they are.
	fresh, idle bool
	seal        map[string]sealEntry
	step        SetSecrets
}

// decideSecrets compares the wanted secrets with Fly's digests and with the seals of the machines.
func decideSecrets(o Observed, want Intent, have []Machine) (secrets, error) {
	s := secrets{want: want, ignore: ignoredOf(want.Target), digests: map[string]string{}, sealed: have, fresh: len(have) == 0, seal: map[string]sealEntry{}}
	s.step.App, s.idle = want.Target.App, s.fresh && !runs(want.Target)
	for _, secret := range o.Secrets {
		s.digests[secret.Name] = secret.Digest
	}
	wanted := map[string]WantedSecret{}
	for _, w := range want.Secrets {
		wanted[w.Name] = w
	}
	if err := s.refuseLost(o, wanted); err != nil {
		return secrets{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if s.ignore.covers("secrets", name) {
			s.leave(wanted[name])
			continue
		}
		s.decide(wanted[name])
	}
	if want.Target.PruneSecrets {
		s.prune(wanted)
	}
	return s, nil
}

// leave is about a secret that is left to others: only a new app gets it, and no seal speaks of it.
func (s *secrets) leave(w WantedSecret) {
	if _, exists := s.digests[w.Name]; s.fresh && !s.idle && !exists && !w.Unknown && !slices.Contains(s.want.Given, w.Name) {
		s.step.Set = append(s.step.Set, w.Name)
	}
}

// decide is about one secret. Its value is the same if a machine got it with the same MAC and Fly has
// shown the same digest since.
func (s *secrets) decide(w WantedSecret) {
	digest, exists := s.digests[w.Name]
	entry, same := s.unchanged(w, digest)
	switch {
	case slices.Contains(s.want.Given, w.Name):
		s.seal[w.Name] = sealEntry{w.mac(), first(digest, unknownDigest)}
	case exists && same && (w.Unknown || !s.want.Renew):
		s.seal[w.Name] = entry
	case exists && (w.Unknown || s.idle):
		s.seal[w.Name] = sealEntry{w.mac(), digest}
	default:
		s.step.Set = append(s.step.Set, w.Name)
		s.seal[w.Name] = sealEntry{w.mac(), unknownDigest}
	}
}

// refuseLost refuses a service whose secrets the app lacks and Fly does not tell again.
func (s *secrets) refuseLost(o Observed, wanted map[string]WantedSecret) error {
	coming := newAddons(o, s.want)
	for _, a := range s.want.Target.Addons {
		if a.From != "" || slices.Contains(coming, a) {
			continue
		}
		var lost []string
		for _, name := range SecretsOf(a) {
			if _, exists := s.digests[name]; wanted[name].Unknown && !exists && !slices.Contains(s.want.Given, name) && !s.ignore.covers("secrets", name) {
				lost = append(lost, name)
			}
		}
		if len(lost) > 0 {
			return refused("addons: %s %s is there, and the app lacks its secrets %s, which Fly told only once, when the service was made: "+
				"set them by hand (fly secrets set %s=… -a %s), or destroy the service and let FlyCD make another",
				a.Type, a.Name, strings.Join(lost, ", "), strings.Join(lost, "=… "), s.want.Target.App)
		}
	}
	return nil
}

// runs reports whether the target has any machine.
func runs(t machine.Target) bool {
	return len(t.Schedules) > 0 || slices.ContainsFunc(t.Groups, func(g machine.Group) bool {
		return slices.ContainsFunc(g.Regions, func(region string) bool { n, _ := g.CountOf(region); return n > 0 })
	})
}

func (w WantedSecret) mac() string {
	if w.Unknown {
		return unknownMAC
	}
	return w.MAC
}

// unchanged finds a machine that got the value, and gives what it says of it. Where no MAC can be had, the
// app's digest has to speak for the value, and where the value itself cannot be had, Fly's digest alone. What
// was known of it then stays in the seal.
func (s *secrets) unchanged(w WantedSecret, digest string) (sealEntry, bool) {
	for _, m := range s.sealed {
		e, ok := parseSeal(m.GetMetadataByKey(MetaSecrets))[w.Name]
		if !ok || e.digest != digest {
			continue
		}
		if w.Unknown || e.mac == w.MAC && w.MAC != "" || w.MAC == "" && m.GetMetadataByKey(MetaDigest) == s.want.Metadata[MetaDigest] {
			return e, true
		}
	}
	return sealEntry{}, false
}

// prune removes what is neither listed nor an add-on's.
func (s *secrets) prune(wanted map[string]WantedSecret) {
	for _, name := range slices.Sorted(maps.Keys(s.digests)) {
		if _, ok := wanted[name]; !ok && !s.ignore.covers("secrets", name) && !s.addons(name) && !slices.Contains(s.want.Target.Secrets, name) {
			s.step.Unset = append(s.step.Unset, name)
		}
	}
}

// addons reports whether an add-on brings the secret.
func (s *secrets) addons(name string) bool {
	for _, a := range s.want.Target.Addons {
		if a.From == name || slices.Contains(SecretsOf(a), name) {
			return true
		}
	}
	return false
}

// SecretsOf gives the names of the secrets that attach a service, sorted.
func SecretsOf(a machine.Addon) []string {
	switch {
	case a.Type == "tigris":
		return []string{"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "BUCKET_NAME"}
	case a.Secret == "":
		return nil
	}
	return []string{a.Secret}
}

// counts reports whether a machine that FlyCD has not deployed yet must get the seal: a listed secret
// may be another one than it has, and one that is about to be set is. Where no value can be told, nothing is known to differ.
func (s *secrets) counts() bool {
	return slices.ContainsFunc(s.want.Secrets, func(w WantedSecret) bool {
		return !w.Unknown || slices.Contains(s.step.Set, w.Name)
	})
}

// steps gives the one step, if there is something to do.
func (s *secrets) steps() []Step {
	if len(s.step.Set)+len(s.step.Unset) == 0 {
		return nil
	}
	return []Step{s.step}
}

// sealChanges shows a seal's change by the names of the secrets: MACs and digests say nothing to people.
func sealChanges(before, after string) []Change {
	old, updated := parseSeal(before), parseSeal(after)
	names := map[string]bool{}
	for name, e := range updated {
		if had, ok := old[name]; !ok || had != e {
			names[name] = true
		}
	}
	for name := range old {
		if _, ok := updated[name]; !ok {
			names[name] = true
		}
	}
	var all []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, Change{Key: "secrets." + name})
	}
	return all
}
