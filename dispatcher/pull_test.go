package dispatcher

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// comment is the part of a comment's event that is read.
const comment = `{"action":"created","issue":{"number":7,"pull_request":{"url":"x"}},"comment":{"id":5,"body":"/flycd plan"},` +
	`"repository":{"clone_url":"https://github.com/acme/config.git","default_branch":"main"},"sender":{"login":"ann"}}`

// exchanged is JSON with one member, at a path of keys, exchanged; an empty value takes it away.
func exchanged(t *testing.T, body []byte, path, value string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	at, keys := m, strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		at, _ = at[k].(map[string]any)
	}
	if value == "" {
		delete(at, keys[len(keys)-1])
	} else {
		at[keys[len(keys)-1]] = json.RawMessage(value)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPullRequestsThatAreNoneAreNotUnderstood(t *testing.T) {
	pull := payloadOf(t, "pull_request.opened.payload.json")
	for name, c := range map[string]struct {
		event       string
		body        []byte
		path, value string
	}{
		"no head":              {"pull_request", pull, "pull_request.head.sha", ""},
		"an option as head":    {"pull_request", pull, "pull_request.head.sha", `"--upload-pack=x"`},
		"a short head":         {"pull_request", pull, "pull_request.head.sha", `"abc"`},
		"no base":              {"pull_request", pull, "pull_request.base.ref", ""},
		"a split base":         {"pull_request", pull, "pull_request.base.ref", `"a\nb"`},
		"a number for a base":  {"pull_request", pull, "pull_request.base.ref", "1"},
		"no number":            {"pull_request", pull, "number", ""},
		"a negative number":    {"pull_request", pull, "number", "-1"},
		"a huge number":        {"pull_request", pull, "number", "1e99"},
		"no repository":        {"pull_request", pull, "repository", ""},
		"a NUL in the URL":     {"pull_request", pull, "repository.clone_url", `"https://x/\u0000"`},
		"a bad time":           {"pull_request", pull, "pull_request.updated_at", `"yesterday"`},
		"a text for it all":    {"pull_request", pull, "pull_request", `"x"`},
		"a comment on nothing": {"issue_comment", []byte(comment), "issue.number", "0"},
		"a comment nowhere":    {"issue_comment", []byte(comment), "repository.clone_url", `""`},
		"a list as a comment":  {"issue_comment", []byte(comment), "comment", "[]"},
	} {
		d := delivery{event: c.event, contentType: "application/json", body: exchanged(t, c.body, c.path, c.value)}
		if e, err := parse(verified{d}); !errors.Is(err, errNotUnderstood) || len(err.Error()) > 400 {
			t.Errorf("%s: got %+v, %v", name, e.plan, err)
		}
	}
	for _, event := range []string{"pull_request", "issue_comment", "ping"} {
		for _, body := range []string{"", "[]", "null", "x", `"x"`, "{"} {
			if e, err := parse(verified{delivery{event: event, contentType: "application/json", body: []byte(body)}}); !errors.Is(err, errNotUnderstood) {
				t.Errorf("%s %q: %+v, %v", event, body, e, err)
			}
		}
	}
}

// TestWhatIsNoWishForAPlanSaysSo reads events that nobody has to answer.
func TestWhatIsNoWishForAPlanSaysSo(t *testing.T) {
	pull := payloadOf(t, "pull_request.opened.payload.json")
	for name, c := range map[string]struct {
		event             string
		body              []byte
		path, value, want string
	}{
		"a label":                    {"pull_request", pull, "action", `"labeled"`, "labeled"},
		"a hostile action":           {"pull_request", pull, "action", `"a\nb\u001b[31m"`, "nothing to plan"},
		"a fork":                     {"pull_request", pull, "pull_request.head.repo.clone_url", `"https://github.com/eve/hello-world"`, "fork"},
		"a fork that is gone":        {"pull_request", pull, "pull_request.head.repo", `null`, "fork"},
		"an edited comment":          {"issue_comment", []byte(comment), "action", `"edited"`, "only new comments"},
		"a comment on an issue":      {"issue_comment", []byte(comment), "issue.pull_request", "", "only new comments"},
		"a comment on null":          {"issue_comment", []byte(comment), "issue.pull_request", "null", "only new comments"},
		"another comment":            {"issue_comment", []byte(comment), "comment.body", `"/flycd apply"`, "does not say"},
		"a comment in other letters": {"issue_comment", []byte(comment), "comment.body", `"/FLYCD PLAN"`, "does not say"},
	} {
		d := delivery{event: c.event, contentType: "application/json", body: exchanged(t, c.body, c.path, c.value)}
		e, err := parse(verified{d})
		if err != nil || e.plan != nil || !strings.Contains(e.ignored, c.want) || strings.ContainsAny(e.ignored, "\n\x1b") {
			t.Errorf("%s: got %+v, %q, %v", name, e.plan, e.ignored, err)
		}
	}
	// a time that is missing is that of the arrival
	d := delivery{event: "pull_request", contentType: "application/json", body: exchanged(t, pull, "pull_request.updated_at", "null")}
	if e, err := parse(verified{d}); err != nil || e.plan == nil || e.plan.time != 0 {
		t.Errorf("without a time: %+v, %v", e.plan, err)
	}
}
