package forge

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are texts that try to be more than text.
func hostile() []string {
	return []string{
		"<!channel> <!here|x> <@U123> <https://evil.example|click>", "@channel @everyone @here", "https://evil.example/x www.evil.example",
		"*bold* _it_ ~s~ `code` ```\nblock\n```", "[text](https://evil.example) ![img](https://evil.example/a.png)", "&lt;!channel&gt; &amp;",
		"\x1b]0;title\x07\x1b[2J", "line\nline\r\n\u2028line", "a\u202eb\u200bc\u2066", "\x00\x07", "--> <!-- flycd: x -->", "# head\n- list\n> quote", "|a|b|",
		strings.Repeat("ä", 300), "`" + strings.Repeat("`", 9), "\xff\xfe broken", "", " ", "acme/web#1 #2 GH-3", "::set-output name=x::y", "${jndi:ldap://x}",
	}
}

// Broken when: foreign text leaves its line, moves a cursor, or hides.
func TestOneLineStaysOneLine(t *testing.T) {
	for _, s := range hostile() {
		checkLine(t, s, 140)
	}
}

func checkLine(t *testing.T, s string, limit int) {
	t.Helper()
	got := oneLine(s, limit)
	if len(got) > limit || !utf8.ValidString(got) || oneLine(got, limit) != got {
		t.Errorf("%q becomes %q", s, got)
	}
	if strings.ContainsFunc(got, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
	}) {
		t.Errorf("%q becomes %q", s, got)
	}
}

func FuzzOneLine(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s, 20)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		checkLine(t, s, 3+min(max(limit, 0), 1000))
	})
}

// inert tells what of a Slack text may still be obeyed.
func inert(s string, code bool) string {
	for _, r := range s {
		if r == '<' || r == '>' {
			return "a bracket"
		}
	}
	rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(s)
	bad := []string{"&", "://", "@c", "@e", "@h", "@U", "`"}
	if !code {
		bad = append(bad, "](", "www.", "*b", "d*", "_i", "#1")
	}
	for _, b := range bad {
		if strings.Contains(rest, b) {
			return b
		}
	}
	return ""
}

// Broken when: a commit's message or an error calls everybody, links, or formats in a chat.
func TestNothingIsObeyedInAChat(t *testing.T) {
	for _, s := range hostile() {
		if why := inert(slackText(oneLine(s, 500)), false); why != "" {
			t.Errorf("%q becomes %q, with %s", s, slackText(oneLine(s, 500)), why)
		}
		if why := inert(slackCode(still(s)), true); why != "" {
			t.Errorf("%q becomes %q, with %s", s, slackCode(still(s)), why)
		}
	}
}

// Broken when: a code span ends before its text does.
func TestCodeSpanHoldsItsText(t *testing.T) {
	for _, s := range hostile() {
		s = oneLine(s, 500)
		checkSpan(t, s)
	}
}

func checkSpan(t *testing.T, s string) {
	t.Helper()
	got := codeSpan(s)
	fence := got[:len(got)-len(strings.TrimLeft(got, "`"))]
	inner, ok := strings.CutSuffix(got[len(fence):], fence)
	if !ok || fence == "" || strings.HasSuffix(inner, "`") {
		t.Errorf("%q becomes %q", s, got)
	}
	for run := range strings.FieldsFuncSeq(inner, func(r rune) bool { return r != '`' }) {
		if len(run) == len(fence) {
			t.Errorf("%q becomes %q: it ends within", s, got)
		}
	}
	if strings.TrimSpace(inner) != strings.TrimSpace(s) {
		t.Errorf("%q becomes %q", s, got)
	}
}

func FuzzCodeSpan(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkSpan(t, oneLine(s, 500)) })
}

// Broken when: an address that runs a script, or holds a password, is shown as a link.
func TestOnlyAddressesOfTheWebAreLinked(t *testing.T) {
	for address, want := range map[string]bool{
		"https://web.fly.dev": true, "http://web.fly.dev/x?y=1": true, "javascript:alert(1)": false, "data:text/html,x": false, "//evil.example": false,
		"https://user:pw@evil.example": false, "": false, "https://": false, "web.fly.dev": false, "https://" + strings.Repeat("a", 2000): false,
		"https://x.example/\n": false,
	} {
		if got := linkable(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

// Broken when: a subject ends the hidden marker, and what follows is shown or is another marker.
func TestMarkerCannotBeLeft(t *testing.T) {
	for _, s := range hostile() {
		m := Comment{Subject: s}.marker()
		inner := strings.TrimSuffix(strings.TrimPrefix(m, "<!--"), "-->")
		if strings.Contains(inner, "--") || strings.ContainsAny(inner, ">\n") {
			t.Errorf("%q becomes %q", s, m)
		}
	}
}
