package secret

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// shortestSecret is the least length of a value that is looked for: shorter ones are in every text.
const shortestSecret = 6

// Redactor takes known secret values out of text. The zero value takes nothing out.
type Redactor struct {
	replacer *strings.Replacer
	// longest is the length of the longest value.
	longest int
}

// NewRedactor knows the values, each also as a URL and as base64 would carry it, and the parts of
// those that are lists (FLY_API_TOKEN holds several macaroons) or URLs with a password.
func NewRedactor(values ...string) Redactor {
	var forms []string
	for _, v := range values {
		for _, part := range append(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }), v, password(v)) {
			if len(part) < shortestSecret {
				continue
			}
			forms = append(forms, part, url.QueryEscape(part), url.PathEscape(part),
				base64.StdEncoding.EncodeToString([]byte(part)))
		}
	}
	// Longer forms first, so that no tail of one remains.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	if len(forms) == 0 {
		return Redactor{}
	}
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, "[secret]")
	}
	return Redactor{replacer: strings.NewReplacer(pairs...), longest: len(forms[0])}
}

// Longest is the length of the longest text that is taken out.
func (r Redactor) Longest() int { return r.longest }

// Error gives the error with a text without the values; what it wraps is found as before.
func (r Redactor) Error(err error) error {
	if err == nil || r.replacer == nil {
		return err
	}
	return redacted{err: err, text: r.Redact(err.Error())}
}

type redacted struct {
	err  error
	text string
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.err }

// Redact gives text without the values.
func (r Redactor) Redact(text string) string {
	if r.replacer == nil {
		return text
	}
	return r.replacer.Replace(text)
}

func password(v string) string {
	u, err := url.Parse(v)
	if err != nil || u.User == nil {
		return ""
	}
	p, _ := u.User.Password()
	return p
}
