package fly

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// A program that says its environment may say it as JSON, and Fly may quote what it was sent.
func TestValuesAreHiddenHoweverTheyAreWritten(t *testing.T) {
	const value = "p\"a<s>s&wörd/1\\+ x"
	h := &hidden{}
	h.add("first line\n" + value + "\nshort")
	for _, line := range []string{value, "the whole: first line\n" + value} {
		quoted, err := json.Marshal(map[string]string{"K": line})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			line, string(quoted), fmt.Sprintf("%q", line), fmt.Sprintf("%+q", line), `{"K": "p\"a<s>s&w\u00f6rd/1\\+ x"}`,
			"https://host/?k=" + url.QueryEscape(value), "https://host/" + url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)),
		} {
			got := h.clean(text)
			if !strings.Contains(got, "[secret]") || strings.Contains(got, "rd/1") || strings.Contains(got, "rd%2F1") {
				t.Errorf("%s became %s", text, got)
			}
		}
	}
	if got := h.clean("a short word"); got != "a short word" {
		t.Errorf("what is too short to be a secret was taken out: %q", got)
	}
}
