package fly

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// shortestSecret is the length from which a secret is taken out of what people read: what is shorter
// stands in innocent words.
const shortestSecret = 6

// hidden are the tokens and the values of secrets that nobody may read in an error or in a command's
// output. It is safe to share.
type hidden struct {
	mu     sync.Mutex
	values []string
}

// add hides values from now on, and each of their lines, since output comes line by line, in all their forms.
func (h *hidden) add(values ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range values {
		for _, s := range append([]string{v}, strings.Split(v, "\n")...) {
			if s = strings.TrimSpace(s); len(s) < shortestSecret {
				continue
			}
			for _, form := range forms(s) {
				if !slices.Contains(h.values, form) {
					h.values = append(h.values, form)
				}
			}
		}
	}
	// the longer ones first: one may be within another
	slices.SortStableFunc(h.values, func(a, b string) int { return len(b) - len(a) })
}

func (h *hidden) clean(s string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.values {
		s = strings.ReplaceAll(s, v, "[secret]")
	}
	return s
}

// forms are the ways in which a text may write a value: as it is, in a URL, in base64, and quoted as JSON, with and
// without HTML's and foreign letters written out.
func forms(v string) []string {
	ascii := strconv.QuoteToASCII(v)
	all := []string{
		v, url.QueryEscape(v), url.PathEscape(v), base64.StdEncoding.EncodeToString([]byte(v)),
		inJSON(v, true), inJSON(v, false), ascii[1 : len(ascii)-1],
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// inJSON is the value as JSON has it, without the quotes.
func inJSON(v string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if e.Encode(v) != nil {
		return v // a string never fails
	}
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}
