package dispatcher

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

// seeds are JSON texts that differ where parsers do.
func seeds() []string {
	return []string{
		``, ` `, `{}`, ` { } `, `{}x`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `[]`, `[1,]`, `null`, `{"a":[1,2,{"b":[]}]}`,
		`{"ref":"a","REF":"b","Ref":"c"}`, `{"r\u0065f":"x"}`, `{"ref":"\ud800"}`, "{\"ref\":\"\xff\"}", "{\"ref\":\"a\nb\"}", `{"ref":"\x"}`, `{"ref":"\u12"}`,
		`{"repository":{"clone_url":"x"},"repository":{"default_branch":"y"}}`, `{"repository":null}`, `{"repository":[]}`, `{"Repository":{"CLONE_URL":"x","x":1}}`,
		`{"sender":{"login":"a","x":{"login":"b"}}}`, `{"ſender":{"login":"a"}}`, `{"created":true,"deleted":false,"forced":nul}`, `{"a":-}`, `{"a":01}`, `{"a":1.}`, `{"a":1e}`,
		`{"a":-0.5E+10}`, `{"a":.5}`, `{"a":tru}`, `{"a":"b`, `{"a":"b\`, "\ufeff{}", strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50),
		strings.Repeat(`{"a":[`, 6000),
	}
}

// TestSlimLosesNothingThatIsRead holds the short way through a push to the long one.
func TestSlimLosesNothingThatIsRead(t *testing.T) {
	files, err := filepath.Glob("testdata/github/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no payloads")
	}
	for _, file := range files {
		b := payloadOf(t, filepath.Base(file))
		same(t, b)
		if s, ok := slim(b); !ok || len(s) > 600 {
			t.Errorf("%s: %t, %d bytes are left", file, ok, len(s))
		}
	}
	for _, s := range seeds() {
		same(t, []byte(s))
	}
	deep := func(n int) []byte { return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`) }
	for _, n := range []int{9998, 9999, 10000, 10001} {
		same(t, deep(n))
	}
}

// same compares what is found in the whole and in what slim leaves.
func same(t *testing.T, b []byte) {
	t.Helper()
	short, ok := slim(b)
	if want := json.Valid(b) && object(b); ok != want {
		t.Errorf("%.200q is taken for an object: %t, encoding/json says %t", b, ok, want)
	}
	if !ok {
		return
	}
	var whole, part github.PushEvent
	if err := json.Unmarshal(b, &whole); err != nil {
		// A member that nobody reads may be of a wrong type.
		return
	}
	if err := json.Unmarshal(short, &part); err != nil {
		t.Errorf("%.200q becomes %.200q: %v", b, short, err)
		return
	}
	type read struct{ ref, before, after, url, branch, actor, at string }
	pick := func(p github.PushEvent) read {
		return read{p.GetRef(), p.GetBefore(), p.GetAfter(), p.GetRepo().GetCloneURL(), p.GetRepo().GetDefaultBranch(), p.GetSender().GetLogin(), p.GetRepo().GetPushedAt().String()}
	}
	if diff := cmp.Diff(pick(whole), pick(part), cmp.AllowUnexported(read{})); diff != "" || whole.GetCreated() != part.GetCreated() ||
		whole.GetDeleted() != part.GetDeleted() || whole.GetForced() != part.GetForced() {
		t.Errorf("%.200q becomes %.200q:\n%s", b, short, diff)
	}
}

// FuzzSlim looks for JSON that is judged, or read, otherwise than by encoding/json.
func FuzzSlim(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Add(bytes.TrimSpace(payloadOf(f, "push.branch.json")))
	f.Fuzz(same)
}
