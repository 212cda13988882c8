package launch

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/superfly/macaroon"
	"github.com/superfly/macaroon/resset"
)

// permissionLocation is where Fly's permission tokens are good for something. A token of another location
// is a discharge, or good for something else, which is nobody's who gets a narrowed one.
const permissionLocation = "https://api.fly.io/v1"

// Access is what may be done to an app, or with a feature of an organisation.
type Access uint16

// The accesses that are granted.
const (
	// Read is to look.
	Read = Access(resset.ActionRead)
	// Push is to look and to write, which is what pushing an image into the app's repository takes; nothing
	// can be created, destroyed, started or stopped with it.
	Push = Access(resset.ActionRead | resset.ActionWrite)
	// All is everything.
	All = Access(resset.ActionAll)
)

// The features of an organisation that a deploy may need.
const (
	FeatureAddons    = "addon"
	FeatureBuilder   = "builder"
	FeatureWireGuard = "wg"
)

// Scope is what a narrowed token is good for. The zero value is good for nothing.
type Scope struct {
	// Org is the numeric id of the organisation; zero leaves the token's own. It matters for features, of
	// which each organisation has its own, and for a token that is made of several organisations' tokens.
	Org uint64
	// Apps says by numeric id what may be done to which apps; nothing may be done to others, not even looked.
	// The id zero stands for every app, and stands alone.
	Apps map[uint64]Access
	// Features says by name what may be done with features of the organisation; others are out of reach.
	Features map[string]Access
	// Mutations are the mutations of GraphQL that may be sent. AnyMutation allows those that Apps and Features
	// allow.
	Mutations   []string
	AnyMutation bool
	// ReadOnly lets nothing be changed, whatever else is said.
	ReadOnly bool
	// Until is when the token ends. It must be set.
	Until time.Time
}

// Narrow gives a token that can do what s says and the given one can, and nothing else. It asks nobody: a
// macaroon is narrowed by adding to it, and nobody who gets the result can take that back. What is no macaroon
// of Fly's is refused: it cannot be narrowed. The result is as FLY_API_TOKEN has it, without a scheme. What is
// not about an app or a feature (the organisation's name, its regions) can be read with it.
func Narrow(token string, s Scope) (string, error) {
	caveats, err := s.caveats()
	if err != nil {
		return "", err
	}
	permissions, discharges, err := read(token)
	if err != nil {
		return "", err
	}
	all := make([][]byte, 0, len(permissions)+len(discharges))
	for _, m := range permissions {
		if err := m.Add(caveats...); err != nil {
			return "", fmt.Errorf("narrow token: %w", err)
		}
		raw, err := m.Encode()
		if err != nil {
			return "", fmt.Errorf("narrow token: %w", err)
		}
		all = append(all, raw)
	}
	header := macaroon.ToAuthorizationHeader(append(all, discharges...)...)
	text, _ := macaroon.StripAuthorizationScheme(header)
	return text, nil
}

// read takes a token apart: the macaroons that allow something, and the discharges that those need.
func read(token string) ([]*macaroon.Macaroon, [][]byte, error) {
	raw, err := macaroon.Parse(token)
	if err != nil {
		// The library's own error quotes what it could not read.
		return nil, nil, errors.New("narrow token: it is no macaroon, so it cannot be narrowed; make one with `fly tokens create org`")
	}
	permissions, _, others, otherRaw, err := macaroon.FindPermissionAndDischargeTokens(raw, permissionLocation)
	if err != nil || len(permissions) == 0 {
		return nil, nil, errors.New("narrow token: there is no token for Fly's API in it; make one with `fly tokens create org`")
	}
	needed := map[string]bool{}
	for _, m := range permissions {
		for _, c := range macaroon.GetCaveats[*macaroon.Caveat3P](&m.UnsafeCaveats) {
			needed[string(c.Ticket)] = true
		}
	}
	var discharges [][]byte
	for i, m := range others {
		if needed[string(m.Nonce.KID)] {
			discharges = append(discharges, otherRaw[i])
		}
	}
	return permissions, discharges, nil
}

func (s Scope) caveats() ([]macaroon.Caveat, error) {
	if s.Until.IsZero() {
		return nil, errors.New("narrow token: a token without an end is not made")
	}
	if _, every := s.Apps[0]; every && len(s.Apps) > 1 {
		return nil, errors.New("narrow token: every app and some apps: expected one or the other")
	}
	apps, features := resset.ResourceSet[uint64, resset.Action]{}, resset.ResourceSet[string, resset.Action]{}
	for id, may := range s.Apps {
		apps[id] = resset.Action(may)
	}
	for name, may := range s.Features {
		if name == "" {
			return nil, errors.New("narrow token: a feature without a name would be every feature")
		}
		features[name] = resset.Action(may)
	}
	// Both sets are there even where they are empty: an empty one keeps all of its sort out, where none would
	// leave them to Else, which lets an add-on's password be read.
	caveats := []macaroon.Caveat{
		&macaroon.ValidityWindow{NotAfter: s.Until.Unix()},
		&resset.IfPresent{Ifs: macaroon.NewCaveatSet(&appsCaveat{apps}, &featureCaveat{features}), Else: resset.ActionRead},
	}
	if s.Org != 0 {
		caveats = append(caveats, &orgCaveat{ID: s.Org, Mask: resset.ActionAll})
	}
	if s.ReadOnly {
		only := resset.ActionRead
		caveats = append(caveats, &only)
	}
	if !s.AnyMutation || s.ReadOnly {
		// By itself, because one thing that is present and allowed lets Else be forgotten.
		named := &mutationCaveat{slices.Sorted(slices.Values(s.Mutations))}
		caveats = append(caveats, &resset.IfPresent{Ifs: macaroon.NewCaveatSet(named), Else: resset.ActionAll})
	}
	return caveats, nil
}

// The caveats below are those of github.com/superfly/macaroon/flyio, which brings two megabytes of source and
// 180 kB of binary along for checking tokens, which is never done here. A test holds them equal, byte for byte.

type orgCaveat struct {
	ID   uint64
	Mask resset.Action
}

type appsCaveat struct {
	Apps resset.ResourceSet[uint64, resset.Action]
}

type featureCaveat struct {
	Features resset.ResourceSet[string, resset.Action]
}

type mutationCaveat struct{ Mutations []string }

func (*orgCaveat) CaveatType() macaroon.CaveatType      { return macaroon.CavFlyioOrganization }
func (*orgCaveat) Name() string                         { return "Organization" }
func (*orgCaveat) Prohibits(macaroon.Access) error      { return errNotChecked }
func (*appsCaveat) CaveatType() macaroon.CaveatType     { return macaroon.CavFlyioApps }
func (*appsCaveat) Name() string                        { return "Apps" }
func (*appsCaveat) Prohibits(macaroon.Access) error     { return errNotChecked }
func (*featureCaveat) CaveatType() macaroon.CaveatType  { return macaroon.CavFlyioFeatureSet }
func (*featureCaveat) Name() string                     { return "FeatureSet" }
func (*featureCaveat) Prohibits(macaroon.Access) error  { return errNotChecked }
func (*mutationCaveat) CaveatType() macaroon.CaveatType { return macaroon.CavFlyioMutations }
func (*mutationCaveat) Name() string                    { return "Mutations" }
func (*mutationCaveat) Prohibits(macaroon.Access) error { return errNotChecked }

// errNotChecked refuses: tokens are checked by Fly.
var errNotChecked = errors.New("tokens are not checked here")
