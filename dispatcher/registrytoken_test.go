package dispatcher

import (
	"strings"
	"testing"
)

func TestTokensAreComparedWhole(t *testing.T) {
	long := strings.Repeat("a", 32)
	for given, want := range map[string]bool{
		long: true, "b" + long: true, "": false, long[1:]: false, long + "a": false, strings.ToUpper(long): false, " " + long: false,
	} {
		if ok := admit([]string{"b" + long, "", long}, given); ok != want {
			t.Errorf("%q: got %t, want %t", given, ok, want)
		}
	}
	for _, tokens := range [][]string{nil, {""}} {
		if ok := admit(tokens, ""); ok {
			t.Errorf("without a token (%q) everybody is let in", tokens)
		}
	}
}

func TestTokensAreLongAndPartOfAPath(t *testing.T) {
	long := strings.Repeat("a", 32)
	for token, want := range map[string]bool{
		long: true, "A-b_" + long: true, strings.Repeat("a", 256): true, long[1:]: false, "": false, long + "/": false, long + "%": false, long + " ": false, long + "ä": false, long + "=": false, strings.Repeat("a", 257): false,
	} {
		err := CheckRegistryToken(token)
		if (err == nil) != want {
			t.Errorf("%q: %v", token, err)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), token) {
			t.Errorf("the token is told: %v", err)
		}
	}
}

func TestTokensAreNotShown(t *testing.T) {
	for path, want := range map[string]string{
		"/webhook": "/webhook", "/webhook/registry": "/webhook/registry", "/webhook/registry/abc": "/webhook/registry/TOKEN",
		"/webhook/registry/abc/def": "/webhook/registry/TOKEN", "//webhook/registry/abc": "//webhook/registry/TOKEN", "/next": "/next",
	} {
		if got := shown(path); got != want {
			t.Errorf("%s is shown as %s", path, got)
		}
	}
}
