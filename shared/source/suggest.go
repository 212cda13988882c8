package source

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

const fewNames = 5

// nearest gives the end of a sentence that says that a name is unknown: the nearest known name, or
// the names there are when they are few.
func nearest(asked string, known []string) string {
	best, least := "", len([]rune(asked))/2+1
	for i, name := range known {
		if i >= 10_000 {
			break
		}
		if longer := len(name) - len(asked); longer >= least || -longer >= 4*least {
			continue
		}
		if d := levenshtein.ComputeDistance(strings.ToLower(asked), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return among(known)
}

// among gives the end of a sentence that lists what there is, when it is little.
func among(known []string) string {
	switch {
	case len(known) == 0:
		return ": it has none"
	case len(known) <= fewNames:
		return ": it has " + strings.Join(known, ", ")
	}
	return fmt.Sprintf(": it has %s and %d more", strings.Join(known[:fewNames], ", "), len(known)-fewNames)
}
