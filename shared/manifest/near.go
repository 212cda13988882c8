package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// nearest gives the known word that is most like the given one, or the only one that it is a part of (target of
// build-target, repo of repository); "" where none is like it.
func nearest(word string, known []string) string {
	most := max(2, len(word)/3)
	if len(word) <= 3 {
		most = 1
	}
	best, bestDistance := "", most+1
	slices.Sort(known)
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k), bestDistance)
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return whole(word, known)
	}
	return best
}

// whole gives the only known word of which the given one is the beginning or a part. Two spellings of one word count once.
func whole(word string, known []string) string {
	best, plain := "", func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	for _, k := range known {
		if len(word) < 3 || !strings.HasPrefix(plain(k), plain(word)) && !strings.Contains("-"+plain(k)+"-", "-"+plain(word)+"-") {
			continue
		}
		if best != "" && plain(best) != plain(k) {
			return ""
		}
		if best == "" {
			best = k
		}
	}
	return best
}

// distance counts the letters to insert, delete, change or swap to make b of a; it gives up at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 200 {
		return limit
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

// oneOf lists words for a sentence: a, b or c.
func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// meant gives the end of a sentence that suggests a word.
func meant(word string, known []string) string {
	if near := nearest(word, slices.Clone(known)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// clip shortens what a person wrote for a sentence about it.
func clip(s string) string {
	const most = 60
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
