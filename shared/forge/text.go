package forge

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine is foreign text for a place that shows plain text: one line of at most limit bytes, without what moves a
// terminal's cursor or is not seen. What was cut ends with an ellipsis. Doing it again changes nothing.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
			return -1
		default:
			return r
		}
	}, s)
	return clip(strings.Join(strings.Fields(s), " "), limit)
}

// clip cuts text to at most limit bytes, between characters.
func clip(s string, limit int) string {
	const more = "…"
	if len(s) <= limit {
		return s
	}
	cut := max(limit-len(more), 0)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimRight(s[:cut], " ") + more
}

// slackText is foreign text inside a Slack message: nothing in it is a link, a mention or a command.
func slackText(s string) string {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	// A bare address becomes a link, and @name or #name may notify where names are resolved: a character that is not
	// seen between them and what follows keeps them text. So it does for what would be bold, italic, struck or code.
	return strings.NewReplacer("://", ":"+joiner+"//", "@", "@"+joiner, "#", "#"+joiner,
		"*", "*"+joiner, "_", "_"+joiner, "~", "~"+joiner, "`", "`"+joiner).Replace(s)
}

// joiner is a word joiner: a character without a width that breaks no line.
const joiner = "\u2060"

// codeSpan is foreign text in Markdown: code, in which nothing is Markdown, a mention, a link or HTML.
func codeSpan(s string) string {
	run, longest := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
			continue
		}
		run = 0
	}
	fence := strings.Repeat("`", longest+1)
	if s == "" || strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.HasPrefix(s, " ") && strings.HasSuffix(s, " ") {
		s = " " + s + " "
	}
	return fence + s + fence
}
