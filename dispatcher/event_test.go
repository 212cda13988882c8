package dispatcher

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/catalog"
)

const (
	zero   = "0000000000000000000000000000000000000000"
	before = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	after  = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"
	forced = "ba5eba11ba5eba11ba5eba11ba5eba11ba5eba11"
	hello  = "https://github.com/Codertocat/Hello-World.git"
)

// payloadOf reads a recorded delivery.
func payloadOf(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "github", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestPushesAreRead(t *testing.T) {
	base := catalog.Push{
		Repo: hello, Ref: "refs/heads/master", DefaultBranch: "master", Before: before, After: after,
		Time: 1557933657000, Delivery: "guid", Actor: "Codertocat",
	}
	with := func(change func(*catalog.Push)) catalog.Push {
		p := base
		change(&p)
		return p
	}
	for file, want := range map[string]catalog.Push{
		"push.branch.json": base,
		"push.forced.json": with(func(p *catalog.Push) { p.After, p.Forced, p.Time = forced, true, 1557933700000 }),
		"push.branch-created.json": with(func(p *catalog.Push) {
			p.Ref, p.Before, p.Created = "refs/heads/feature/ünïcode", zero, true
		}),
		"push.branch-deleted.json": with(func(p *catalog.Push) { p.Ref, p.After, p.Deleted = "refs/heads/feature", zero, true }),
		"push.tag.json":            with(func(p *catalog.Push) { p.Ref, p.Before, p.Created = "refs/tags/v1.2.3", zero, true }),
		"push.payload.json": with(func(p *catalog.Push) {
			p.Ref, p.After, p.Deleted = "refs/tags/simple-tag", zero, true
		}),
		"push.with-organization.payload.json": with(func(p *catalog.Push) {
			p.Ref, p.After, p.Deleted = "refs/tags/simple-tag", zero, true
		}),
		"push.gitea.json": {
			Repo: "https://forge.example.org/me/app.git", Ref: "refs/heads/master", DefaultBranch: "main",
			Before: before, After: after, Delivery: "guid", Actor: "me",
		},
	} {
		for kind, body := range bothForms(t, file) {
			got, err := parse(verified{delivery{contentType: kind, event: "push", guid: "guid", body: body}})
			if err != nil {
				t.Errorf("%s as %s: %v", file, kind, err)
				continue
			}
			if diff := cmp.Diff(want, got.push); diff != "" || got.ignored != "" {
				t.Errorf("%s as %s (-want +got), ignored %q:\n%s", file, kind, got.ignored, diff)
			}
		}
	}
}

// bothForms gives a payload in both forms.
func bothForms(tb testing.TB, file string) map[string][]byte {
	tb.Helper()
	b := payloadOf(tb, file)
	return map[string][]byte{
		"application/json":                  b,
		"application/json; charset=utf-8":   b,
		"application/x-www-form-urlencoded": []byte(url.Values{"payload": {string(b)}}.Encode()),
	}
}

func TestOtherEventsAreIgnoredWithAReason(t *testing.T) {
	for file, name := range map[string]string{
		"create.payload.json":                            "create",
		"delete.payload.json":                            "delete",
		"registry_package.published.docker.payload.json": "registry_package",
		"release.published.payload.json":                 "release",
	} {
		got, err := parse(verified{delivery{contentType: "application/json", event: name, body: payloadOf(t, file)}})
		if err != nil || !strings.Contains(got.ignored, name) || got.push != (catalog.Push{}) {
			t.Errorf("%s: got %+v, %v", file, got, err)
		}
	}
}

func TestWhatIsNoEventIsNotUnderstood(t *testing.T) {
	change := func(path, value string) []byte {
		var m map[string]any
		if err := json.Unmarshal(payloadOf(t, "push.branch.json"), &m); err != nil {
			t.Fatal(err)
		}
		at, keys := m, strings.Split(path, ".")
		for _, k := range keys[:len(keys)-1] {
			at, _ = at[k].(map[string]any)
		}
		at[keys[len(keys)-1]] = json.RawMessage(value)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, d := range map[string]delivery{
		"an empty body":       {event: "push"},
		"no JSON":             {event: "push", body: []byte("hello")},
		"half a JSON":         {event: "push", body: payloadOf(t, "push.branch.json")[:1000]},
		"a list":              {event: "push", body: []byte("[]")},
		"null":                {event: "push", body: []byte("null")},
		"an empty object":     {event: "push", body: []byte("{}")},
		"two objects":         {event: "push", body: []byte("{}{}")},
		"a ping that is none": {event: "ping", body: []byte("hello")},
		"no event":            {body: payloadOf(t, "push.branch.json")},
		"an ugly event":       {event: "push\r\nx", body: payloadOf(t, "push.branch.json")},
		"an ugly delivery id": {event: "push", guid: "../../x", body: payloadOf(t, "push.branch.json")},
		"a long delivery id":  {event: "push", guid: strings.Repeat("a", 65), body: payloadOf(t, "push.branch.json")},
		"no ref":              {event: "push", body: change("ref", `""`)},
		"a short ref":         {event: "push", body: change("ref", `"master"`)},
		"a number for a ref":  {event: "push", body: change("ref", `1`)},
		"a split ref":         {event: "push", body: change("ref", `"refs/heads/a\nb"`)},
		"a short commit":      {event: "push", body: change("after", `"0d1a26e"`)},
		"no commit":           {event: "push", body: change("after", `null`)},
		"an option as commit": {event: "push", body: change("before", `"--upload-pack=x"`)},
		"no repository":       {event: "push", body: change("repository", `null`)},
		"a text as repo":      {event: "push", body: change("repository", `"x"`)},
		"no clone URL":        {event: "push", body: change("repository.clone_url", `null`)},
		"a NUL in the URL":    {event: "push", body: change("repository.clone_url", `"https://x/\u0000y"`)},
		"a bad time":          {event: "push", body: change("repository.pushed_at", `"yesterday"`)},
		"a long bad time":     {event: "push", body: change("repository.pushed_at", `"`+strings.Repeat("x", 1<<20)+`"`)},
	} {
		d.contentType = "application/json"
		if e, err := parse(verified{d}); !errors.Is(err, errNotUnderstood) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error repeats the body: %d characters", name, len(err.Error()))
		}
	}
	form := delivery{event: "push", contentType: "application/x-www-form-urlencoded"}
	for _, body := range []string{"", "payload=", "other=1", "payload=%zz"} {
		form.body = []byte(body)
		if e, err := parse(verified{form}); !errors.Is(err, errNotUnderstood) {
			t.Errorf("form %q: got %+v, %v", body, e, err)
		}
	}
}

func TestContentTypesAreTwo(t *testing.T) {
	for _, kind := range []string{"", "text/plain", "text/json", "multipart/form-data; boundary=x", ";;;", "application/xml"} {
		d := delivery{event: "push", contentType: kind, body: payloadOf(t, "push.branch.json")}
		if _, err := parse(verified{d}); !errors.Is(err, errContentType) {
			t.Errorf("%q: got %v", kind, err)
		}
	}
}

// FuzzWebhook looks for a body that brings the parser down, or that it reads otherwise than
// go-github.
func FuzzWebhook(f *testing.F) {
	files, err := filepath.Glob("testdata/github/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no payloads")
	}
	for _, file := range files {
		f.Add("push", "application/json", payloadOf(f, filepath.Base(file)))
	}
	f.Add("push", "application/x-www-form-urlencoded", []byte("payload=%7B%7D"))
	f.Add("ping", "application/json", []byte(`{"zen":"x"}`))
	for _, file := range []string{"pull_request.opened.payload.json", "pull_request.synchronize.payload.json"} {
		f.Add("pull_request", "application/json", payloadOf(f, file))
	}
	f.Add("issue_comment", "application/json", []byte(comment))
	f.Fuzz(func(t *testing.T, name, kind string, body []byte) {
		e, err := parse(verified{delivery{event: name, contentType: kind, body: body}})
		if err != nil {
			if !errors.Is(err, errNotUnderstood) && !errors.Is(err, errContentType) {
				t.Errorf("an error of no sort: %v", err)
			}
			return
		}
		if (e.ignored == "") != (name == "push" || e.ping || e.plan != nil || len(e.images) > 0) {
			t.Errorf("event %q: ignored %q", name, e.ignored)
		}
		if w := e.plan; w != nil && (w.check() != nil || w.ask == 0 && (!w.whole() || w.Fork) || w.time < 0) {
			t.Errorf("half a pull request: %+v", w)
		}
		if name != "push" || kind != "application/json" {
			return
		}
		if err := check(e.push); err != nil {
			t.Errorf("half a push: %v", err)
		}
		theirs, err := github.ParseWebHook("push", body)
		if err != nil {
			// A member that nobody reads is of another type than go-github's.
			return
		}
		if p, ok := theirs.(*github.PushEvent); !ok || p.GetRef() != e.push.Ref || p.GetAfter() != e.push.After ||
			p.GetBefore() != e.push.Before || p.GetRepo().GetCloneURL() != e.push.Repo || p.GetSender().GetLogin() != e.push.Actor {
			t.Errorf("go-github reads %+v, %v, we %+v", theirs, err, e.push)
		}
	})
}

// BenchmarkParse measures what reading a verified push costs.
func BenchmarkParse(b *testing.B) {
	v := verified{delivery{contentType: "application/json", event: "push", guid: "guid", body: payloadOf(b, "push.branch.json")}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(v); err != nil {
			b.Fatal(err)
		}
	}
}
