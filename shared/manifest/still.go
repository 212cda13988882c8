package manifest

import (
	"regexp"
	"strings"
	"unicode"
)

// Still is text that came from elsewhere without what moves a terminal's cursor, sets its title or writes its clipboard:
// sequences that terminals obey, and characters that are not seen. Ends of lines and tabs stay. Doing it again changes nothing.
func Still(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if !strings.ContainsFunc(text, moves) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if moves(r) {
			return -1
		}
		return r
	}, escapes.ReplaceAllString(text, ""))
}

// Told is what may be shown of a text that came from elsewhere: Still, and without the values, also those that were written
// with something unseen between their characters.
func (r Redactor) Told(text string) string {
	return r.Redact(Still(r.Redact(strings.ToValidUTF8(text, "�"))))
}

// escapes are the sequences that terminals obey: of control, of the operating system, and short ones. One that is not ended ends
// with its line, so that it hides no other.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(\x07|\x1b\\)?|[ -/]*[0-~])`)

func moves(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}
