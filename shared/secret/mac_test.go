package secret_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// The digits are in the metadata of machines: other ones would restart every app.
// They were made with another program: HMAC-SHA256 over the parts, each after its length in eight bytes.
func TestMACStaysAsItIs(t *testing.T) {
	key := manifest.NewSecret("key")
	if got, want := secret.MAC(key, "shop", "TOKEN", manifest.NewSecret("value")), "ca35860316cdd82796f6d7a2d6148738"; got != want {
		t.Errorf("MAC: got %s, want %s", got, want)
	}
	values := map[string]manifest.Secret{"B": manifest.NewSecret("2"), "A": manifest.NewSecret("1")}
	if got, want := secret.Sum(key, "shop", values), "c84031b974862acbe9fcdd3cde8b0a7c"; got != want {
		t.Errorf("Sum: got %s, want %s", got, want)
	}
}

func TestWithoutAKeyThereIsNoMAC(t *testing.T) {
	v := manifest.NewSecret("v")
	if got := secret.MAC(manifest.Secret{}, "a", "n", v) + secret.Sum(manifest.Secret{}, "a", map[string]manifest.Secret{"n": v}) + secret.Sum(v, "a", nil); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestMACsAreEqualOnlyForEqualSecrets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.StringOfN(rapid.RuneFrom([]rune("ab=\x00")), 0, 3, -1)
		type input struct{ key, app, name, value string }
		one := input{"k", short.Draw(t, "app"), short.Draw(t, "name"), short.Draw(t, "value")}
		two := input{rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"), short.Draw(t, "app2"), short.Draw(t, "name2"), short.Draw(t, "value2")}
		mac := func(i input) string {
			return secret.MAC(manifest.NewSecret(i.key), i.app, i.name, manifest.NewSecret(i.value))
		}
		sum := func(i input) string {
			return secret.Sum(manifest.NewSecret(i.key), i.app, map[string]manifest.Secret{i.name: manifest.NewSecret(i.value)})
		}
		if (one == two) != (mac(one) == mac(two)) || (one == two) != (sum(one) == sum(two)) {
			t.Fatalf("%q and %q", one, two)
		}
		if mac(one) == sum(one) || len(mac(one)) != 32 {
			t.Fatalf("%q", one)
		}
	})
}
