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
		if unicode.IsSpace(r) {
			return ' '
		}
		return seen(r)
	}, s)
	return clip(strings.Join(strings.Fields(s), " "), limit)
}

// seen drops a character that is not seen, and what is no text.
func seen(r rune) rune {
	if r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) {
		return -1
	}
	return r
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

// still is foreign text of several lines without what moves a cursor or is not seen. Doing it again changes nothing.
func still(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			return seen(r)
		}, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// slackText is foreign text inside a Slack message: nothing in it is a link, a mention or a command, neither for Slack nor
// for those who take its messages and read Markdown or bare names in them.
func slackText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "://", ":"+joiner+"//", "www.", "www"+joiner+".", "@", "@"+joiner,
		"#", "#"+joiner, "](", "]"+joiner+"(", "*", joiner+"*"+joiner, "_", joiner+"_"+joiner, "~", "~"+joiner, "`", "ˋ").Replace(s)
}

// slackCode is foreign text inside a block of code of a Slack message.
func slackCode(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "://", ":"+joiner+"//", "@", "@"+joiner, "`", "ˋ").Replace(s)
}

// joiner is a word joiner: a character without a width, that breaks no line. Between a sign and what follows it keeps
// both from meaning anything.
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
