package manifest_test

import (
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
)

// Broken when: what a program prints clears the screen, sets the title or writes the clipboard of who reads its log, or takes a
// secret apart with characters that are not seen.
func TestWhatIsToldMovesNoTerminal(t *testing.T) {
	redact := manifest.NewRedactor("hunter22", "esc\x1b[1mape22")
	for text, want := range map[string]string{
		"plain\ttext\nof – lines":                                    "plain\ttext\nof – lines",
		"\x1b[31mred\x1b[0m":                                         "red",
		"a\x1b]0;title\x07b\x1b]52;c;ZXZpbA==\x1b\\c\x1bPq\x1b\\d":   "abcd",
		"\x1b[2J\x1b[1;1H\x1bcx\x1b(By\x1b":                          "xy",
		"over\rwritten\b\b\x00\x7f \u009b31m \u202eleft":             "overwritten 31m left",
		"hun\x1b[0mter22 hun\x00ter22 esc\x1b[1mape22 hunter22 \xff": "[secret] [secret] [secret] [secret] �",
		"\x1b]0;never ended":                                         "",
		"\x1b]0;hides\nno other line":                                "\nno other line",
	} {
		if got := redact.Told(text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
		if again := redact.Told(want); again != want {
			t.Errorf("%q is told again as %q", want, again)
		}
	}
}
