package forge_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// Broken when: an app's name, an error or a commit's message is obeyed by the forge, a chat, a terminal or a program.
func TestHostileTextIsInertInEveryChannel(t *testing.T) {
	bad := []string{
		"<!channel> <https://evil.example|x> @everyone", "\x1b]0;owned\x07\x1b[2J\r\nsecond", "`${x}` ```\nblock", "a\u202eb\u200b\u2066c", "-->\n# head [x](javascript:y)",
		strings.Repeat("é", 5000), "\x00\xff",
	}
	o := newOffice(t, queuetest.Embedded(t))
	for i, s := range bad {
		app := "a" + strings.Repeat("b", i) + strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == '/' || r == utf8.RuneError {
				return -1
			}
			return r
		}, s)
		o.catalog(catalog.Entry{App: app, Dir: "x/" + s, Auto: true, Source: catalog.Source{Repo: o.repo}, Notify: []catalog.Notify{{To: "ci"}, {To: "chat"}, {To: s}}})
		hurt := func(j *job.Job) { j.App, j.Actor = app, s }
		r := job.Result{Outcome: job.Failed, Detail: s, URL: "javascript:" + s, Image: s, SourceCommit: o.commit, ConfigCommit: s}
		o.run(o.job(hurt), r)
		o.deliver()
	}
	st := o.state(t)
	if len(st.Statuses) != len(bad) || len(st.Deployments) != len(bad) || len(o.box.got("/chat")) != len(bad) || len(o.notices()) != len(bad) {
		t.Fatalf("%d statuses, %d deployments, %d messages, %d notices of %d", len(st.Statuses), len(st.Deployments), len(o.box.got("/chat")), len(o.notices()), len(bad))
	}
	plain := func(what, s string) {
		t.Helper()
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%s is %q", what, s)
		}
	}
	for _, s := range st.Statuses {
		plain("context", s.Context)
		plain("description", s.Description)
		plain("target", s.TargetURL)
	}
	for _, d := range st.Deployments {
		plain("environment", d.Environment)
		plain("description", d.Description)
		if d.URL != "" {
			t.Errorf("it links to %q", d.URL)
		}
	}
	for _, body := range o.box.got("/chat") {
		var m struct{ Text string }
		must(t, json.Unmarshal([]byte(body), &m))
		text := strings.ReplaceAll(m.Text, "<https://flycd.example/jobs/", "")
		for _, obeyed := range []string{"<!", "<https://evil", "@everyone", "@channel", "\x1b", "\r", "\u202e", "\u200b", "://evil"} {
			if strings.Contains(text, obeyed) {
				t.Errorf("%q is in %q", obeyed, m.Text)
			}
		}
		if strings.Count(text, "```") != 2 && strings.Contains(text, "`") {
			t.Errorf("the block is left in %q", m.Text)
		}
	}
	for _, n := range o.notices() {
		plain("app", n.App+n.Actor+n.Image+n.URL)
		plain("detail", strings.ReplaceAll(n.Detail, "\n", ""))
	}
	list, _, err := o.q.Undelivered(t.Context(), 100)
	must(t, err)
	for _, u := range list {
		plain("channel", u.Letter.Channel)
		plain("why", u.Why)
	}
}
