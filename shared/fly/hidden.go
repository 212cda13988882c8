package fly

import (
	"slices"
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

// add hides values from now on, and each of their lines, since output comes line by line.
func (h *hidden) add(values ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range values {
		for _, s := range append([]string{v}, strings.Split(v, "\n")...) {
			if s = strings.TrimSpace(s); len(s) >= shortestSecret && !slices.Contains(h.values, s) {
				h.values = append(h.values, s)
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
