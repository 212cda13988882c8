package manifest_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestNoSecretIsTold(t *testing.T) {
	r := manifest.NewRedactor("redis://user:pass%20word1@host:6379", "FlyV1 fm2_abcdefgh,fm2_zyxwvuts", "", "ab")
	for _, text := range []string{
		"dial redis://user:pass%20word1@host:6379", "password pass word1", "Bearer fm2_abcdefgh", "fm2_zyxwvuts",
		"pass+word1", "pass%20word1", "Zm0yX2FiY2RlZmdo",
	} {
		got := r.Redact("x " + text + " y")
		for _, value := range []string{"pass word1", "pass+word1", "pass%20word1", "fm2_abcdefgh", "fm2_zyxwvuts", "Zm0yX2FiY2RlZmdo"} {
			if strings.Contains(got, value) {
				t.Errorf("%q became %q", text, got)
			}
		}
	}
	if got := r.Redact("about ab and abc"); got != "about ab and abc" {
		t.Errorf("what is too short to be a secret was taken out: %q", got)
	}
	if got := (manifest.Redactor{}).Redact("plain"); got != "plain" {
		t.Errorf("the zero redactor gives %q", got)
	}
}

// Broken when: a value that comes in two writes is handed on.
func TestWriterFindsAValueInPieces(t *testing.T) {
	const value = "0123456789-value"
	for at := range len(value) {
		var out bytes.Buffer
		w := manifest.NewRedactor(value, "hunter22").Writer(&out)
		for _, piece := range []string{"step 1\nit says " + value[:at], value[at:] + " and goes on", "\nno end " + value} {
			if _, err := io.WriteString(w, piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "step 1\nit says [secret] and goes on\nno end [secret]"; got != want {
			t.Fatalf("cut at %d: %q, want %q", at, got, want)
		}
	}
}

// Broken when: a line without an end is kept in memory for as long as it comes.
func TestWriterHandsOnALineWithoutEnd(t *testing.T) {
	const value = "0123456789-value"
	text := strings.Repeat(strings.Repeat("a", 1000)+value, 200)
	want := strings.ReplaceAll(text, value, "[secret]")
	for piece := 990; piece < 1040; piece++ {
		var out bytes.Buffer
		w := manifest.NewRedactor(value).Writer(&out)
		for rest := text; rest != ""; {
			n := min(len(rest), piece)
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if out.Len() < len(text)/2 {
			t.Errorf("%d bytes were handed on of %d", out.Len(), len(text))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("in pieces of %d: %d bytes, want %d, or a value among them: %v", piece, out.Len(), len(want), strings.Contains(out.String(), value))
		}
	}
}

// Broken when: only the whole of a key is known, of which a writer never sees more than a line.
func TestLinesOfAValueAreTakenOutToo(t *testing.T) {
	r := manifest.NewRedactor("line-one\r\n  line-two of hunter22\nxy\n", "hunter22-secret")
	for text, want := range map[string]string{
		"a line-one\nb":                      "a [secret]\nb",
		"  line-two of hunter22":             "[secret]",
		"line-two of hunter22, xy":           "[secret], xy",
		"its word hunter22":                  "its word [secret]",
		"the longest first: hunter22-secret": "the longest first: [secret]",
	} {
		if got := r.Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// Broken when: the mark itself is taken for a value.
func TestRedactingAgainChangesNothing(t *testing.T) {
	r := manifest.NewRedactor("secret", "[secret")
	once := r.Redact("a secret and [secret")
	if want := "a [secret] and [secret]"; once != want || r.Redact(once) != want {
		t.Errorf("%q and %q, want %q", once, r.Redact(once), want)
	}
}

func TestErrorWithoutItsValuesIsStillThatError(t *testing.T) {
	err := manifest.NewRedactor("hunter22").Error(job.Rejectf("step printed hunter22"))
	if !errors.Is(err, job.ErrRejected) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("error = %v", err)
	}
}
