package manifest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// shortestSecret is the least length of a value that is looked for: shorter ones are in every text.
	shortestSecret = 6
	// longestLine bounds what a redacting writer keeps of a line that does not end.
	longestLine = 64 << 10
)

// Redactor takes known secret values out of text and leaves [secret] where they were. The zero value takes nothing out. It
// is for values that are shown by mistake; who has a value and wants to tell it can.
type Redactor struct {
	replacer *strings.Replacer
	// longest is the length of the longest value.
	longest int
}

// NewRedactor knows the values and each of their lines, each also as a URL and as base64 would carry it, and the
// parts of those that are lists (FLY_API_TOKEN holds several macaroons) or URLs with a password.
func NewRedactor(values ...string) Redactor {
	var forms []string
	for _, v := range values {
		for _, line := range append(strings.Split(v, "\n"), v) {
			for _, part := range append(strings.FieldsFunc(line, parts), line, strings.TrimSpace(line), password(line)) {
				if len(part) >= shortestSecret {
					forms = append(forms, part, url.QueryEscape(part), url.PathEscape(part), base64.StdEncoding.EncodeToString([]byte(part)))
				}
			}
		}
	}
	if len(forms) == 0 {
		return Redactor{}
	}
	// Longer forms first, so that no tail of one remains.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	// What was taken out already stays as it is.
	pairs := []string{redacted, redacted}
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, redacted)
	}
	return Redactor{replacer: strings.NewReplacer(pairs...), longest: len(forms[0])}
}

// parts tells what parts the values of a list.
func parts(r rune) bool { return r == ',' || r == ' ' }

// password gives the one in a URL.
func password(v string) string {
	u, err := url.Parse(v)
	if err != nil || u.User == nil {
		return ""
	}
	p, _ := u.User.Password()
	return p
}

// Longest is the length of the longest text that is taken out.
func (r Redactor) Longest() int { return r.longest }

// Redact gives text without the values. Doing it again changes nothing.
func (r Redactor) Redact(text string) string {
	if r.replacer == nil {
		return text
	}
	return r.replacer.Replace(text)
}

// Error gives the error with a text without the values; what it wraps is found as before.
func (r Redactor) Error(err error) error {
	if err == nil || r.replacer == nil {
		return err
	}
	return redactedError{err: err, text: r.Redact(err.Error())}
}

type redactedError struct {
	err  error
	text string
}

func (r redactedError) Error() string { return r.text }
func (r redactedError) Unwrap() error { return r.err }

// Writer gives a writer that hands text on as it is Told, line by line, so that a value which comes in pieces is found
// too. One that spans lines is found by its lines. It is safe for concurrent use; Close hands on the last line, and
// more may be written after it.
func (r Redactor) Writer(to io.Writer) io.WriteCloser { return &redactingWriter{to: to, redact: r} }

type redactingWriter struct {
	to     io.Writer
	redact Redactor

	mu   sync.Mutex
	line []byte
}

// Write implements io.Writer.
func (w *redactingWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 && len(w.line) > longestLine {
		// whole values are taken out first, so that what is cut off at the end can only be the beginning of one
		w.line = []byte(w.redact.Told(string(w.line)))
		end = max(len(w.line)-w.redact.Longest(), 0)
		for end > 0 && end < len(w.line) && !utf8.RuneStart(w.line[end]) {
			end--
		}
	}
	if end == 0 {
		return len(p), nil
	}
	_, err := io.WriteString(w.to, w.redact.Told(string(w.line[:end])))
	w.line = append(w.line[:0], w.line[end:]...)
	return len(p), err
}

// Close hands on what is left.
func (w *redactingWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) == 0 {
		return nil
	}
	_, err := io.WriteString(w.to, w.redact.Told(string(w.line)))
	w.line = nil
	return err
}
