package launch_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"

	"github.com/gigurra/flycd/shared/launch"
)

// minted makes a macaroon as Fly does, and gives its key.
func minted(t *testing.T, caveats ...macaroon.Caveat) (*macaroon.Macaroon, macaroon.SigningKey, string) {
	t.Helper()
	key := macaroon.NewSigningKey()
	m, err := macaroon.New([]byte("kid"), flyio.LocationPermission, key)
	need(t, err)
	need(t, m.Add(caveats...))
	raw, err := m.Encode()
	need(t, err)
	return m, key, macaroon.ToAuthorizationHeader(raw)
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCaveatsAreFlysOwn holds the structs that are encoded here equal to those of Fly's library, byte for byte.
func TestCaveatsAreFlysOwn(t *testing.T) {
	until := time.Unix(1_800_000_000, 0)
	_, _, token := minted(t, &flyio.Organization{ID: 7, Mask: resset.ActionAll})
	got, err := launch.Narrow(token, launch.Scope{
		Org: 7, Apps: map[uint64]launch.Access{12: launch.All, 3: launch.Push}, Features: map[string]launch.Access{"addon": launch.Read, "wg": launch.All},
		Mutations: []string{"b", "a"}, ReadOnly: true, Until: until,
	})
	need(t, err)
	bare, err := macaroon.Parse(token)
	need(t, err)
	want, err := macaroon.Decode(bare[0])
	need(t, err)
	read := resset.ActionRead
	need(t, want.Add(
		&macaroon.ValidityWindow{NotAfter: until.Unix()},
		&resset.IfPresent{Ifs: macaroon.NewCaveatSet(
			&flyio.Apps{Apps: resset.ResourceSet[uint64, resset.Action]{12: resset.ActionAll, 3: resset.ActionRead | resset.ActionWrite}},
			&flyio.FeatureSet{Features: resset.ResourceSet[string, resset.Action]{"addon": resset.ActionRead, "wg": resset.ActionAll}},
		), Else: resset.ActionRead},
		&flyio.Organization{ID: 7, Mask: resset.ActionAll},
		&read,
		&resset.IfPresent{Ifs: macaroon.NewCaveatSet(&flyio.Mutations{Mutations: []string{"a", "b"}}), Else: resset.ActionAll},
	))
	raw, err := want.Encode()
	need(t, err)
	parsed, err := macaroon.Parse(got)
	need(t, err)
	if !bytes.Equal(parsed[0], raw) {
		t.Errorf("narrowed to\n%x, want\n%x", parsed[0], raw)
	}
}

// unknown is a caveat that this build knows nothing of, as Fly may add one any day; the dispatcher knows none of
// Fly's own.
type unknown struct {
	Words []string
	Deep  map[string]uint64
}

func (*unknown) CaveatType() macaroon.CaveatType { return macaroon.CavMinUserDefined + 4711 }
func (*unknown) Name() string                    { return "unknown" }
func (*unknown) Prohibits(macaroon.Access) error { return nil }

func TestCaveatsThatAreNotKnownSurvive(t *testing.T) {
	_, key, token := minted(t, &unknown{[]string{"a", "b"}, map[string]uint64{"x": 1 << 40}}, &flyio.Organization{ID: 7, Mask: resset.ActionAll}, &unknown{Words: []string{"c"}})
	got, err := launch.Narrow(token, launch.Scope{Until: time.Now().Add(time.Hour)})
	need(t, err)
	raw, err := macaroon.Parse(got)
	need(t, err)
	m, err := macaroon.Decode(raw[0])
	need(t, err)
	set, err := m.Verify(key, nil, nil)
	if err != nil {
		t.Fatalf("the signature is broken: %v", err)
	}
	if len(set.Caveats) < 5 {
		t.Errorf("%d caveats, want three and those of the scope", len(set.Caveats))
	}
}

func TestDischargesGoAlongAndNothingElseDoes(t *testing.T) {
	ka := macaroon.NewEncryptionKey()
	m, key, _ := minted(t, &flyio.Organization{ID: 7, Mask: resset.ActionAll})
	need(t, m.Add3P(ka, flyio.LocationAuthentication))
	permission, err := m.Encode()
	need(t, err)
	var discharges [][]byte
	for _, ticket := range m.AllThirdPartyTickets()[flyio.LocationAuthentication] {
		_, d, err := macaroon.DischargeTicket(ka, flyio.LocationAuthentication, ticket)
		need(t, err)
		raw, err := d.Encode()
		need(t, err)
		discharges = append(discharges, raw)
	}
	secrets, err := macaroon.New([]byte("kid"), flyio.LocationSecrets, macaroon.NewSigningKey())
	need(t, err)
	power, err := secrets.Encode()
	need(t, err)
	token := macaroon.ToAuthorizationHeader(append(discharges, permission, power)...) + ",fo1_a-persons-own-token"

	got, err := launch.Narrow(token, launch.Scope{Until: time.Now().Add(time.Hour)})
	need(t, err)
	raw, err := macaroon.Parse(got)
	need(t, err)
	if len(raw) != 2 || strings.Contains(got, "fo1_") {
		t.Fatalf("%d tokens in %s, want the narrowed one and its discharge", len(raw), got)
	}
	narrowed, err := macaroon.Decode(raw[0])
	need(t, err)
	if _, err := narrowed.Verify(key, raw[1:], map[string][]macaroon.EncryptionKey{flyio.LocationAuthentication: {ka}}); err != nil {
		t.Errorf("does not verify with its discharge: %v", err)
	}
}

func TestOnlyMacaroonsWithAnEndAreNarrowed(t *testing.T) {
	_, _, good := minted(t)
	hour := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		token string
		scope launch.Scope
		want  string
	}{
		"no token":             {"", launch.Scope{Until: hour}, "fly tokens create org"},
		"a person's own":       {"fo1_secret-text", launch.Scope{Until: hour}, "fly tokens create org"},
		"something else":       {"secret-text", launch.Scope{Until: hour}, "fly tokens create org"},
		"one that is broken":   {"fm2_secret/text", launch.Scope{Until: hour}, "fly tokens create org"},
		"one without content":  {"fm2_AAAA", launch.Scope{Until: hour}, "fly tokens create org"},
		"no end":               {good, launch.Scope{}, "without an end"},
		"every app and one":    {good, launch.Scope{Until: hour, Apps: map[uint64]launch.Access{0: launch.Read, 5: launch.All}}, "one or the other"},
		"every feature":        {good, launch.Scope{Until: hour, Features: map[string]launch.Access{"": launch.Read}}, "every feature"},
		"one good, one broken": {good + ",secret-text", launch.Scope{Until: hour}, "fly tokens create org"},
	} {
		got, err := launch.Narrow(c.token, c.scope)
		if err == nil || got != "" || !strings.Contains(err.Error(), c.want) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: got %q, %v, want an error with %q that does not tell the token", name, got, err, c.want)
		}
	}
}
