package plan

import (
	"regexp"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"
	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	table := []struct{ app, group, region, want string }{
		{"shop", "web", "ams", "shop-web-ams-7"},
		{"shop", "web", "", "shop-web-any-7"},
		{"shop", "Web_1", "ams", "shop-web-1-ams-6377d12c-7"},
	}
	for _, row := range table {
		if got := nameOf(row.app, row.group, row.region, 7); got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
	}
}

func TestNamesAreDNSNamesAndTellGroupsApart(t *testing.T) {
	dns := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	word := rapid.StringMatching(`[a-zA-Z0-9_-]{1,70}`)
	rapid.Check(t, func(t *rapid.T) {
		app, group, other := word.Draw(t, "app"), word.Draw(t, "group"), word.Draw(t, "other")
		n := rapid.IntRange(0, 99999).Draw(t, "ordinal")
		name := nameOf(app, group, "ams", n)
		if !dns.MatchString(name) {
			t.Fatalf("%q is no DNS name", name)
		}
		if group != other && name == nameOf(app, other, "ams", n) {
			t.Fatalf("groups %q and %q share %q", group, other, name)
		}
		if !placed(app, group, Machine{Machine: &flygo.Machine{Name: name, Region: "ams"}}) {
			t.Fatalf("%q is not known again", name)
		}
	})
}

func TestOnlyOurNamesAreOurs(t *testing.T) {
	for _, name := range []string{"", "shop", "shop-web-ams-", "shop-web-ams-x", "shop-web-fra-1", "xshop-web-ams-1", strings.Repeat("a", 80)} {
		if placed("shop", "web", Machine{Machine: &flygo.Machine{Name: name, Region: "ams"}}) {
			t.Errorf("%q counts as ours", name)
		}
	}
}
