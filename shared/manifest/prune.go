package manifest

import (
	"strconv"
	"strings"
)

// PruneLimit reads PruneMax: a number of apps, or a percentage. Both are 0 where nothing is written, or nothing that
// can be read.
func (s Sync) PruneLimit() (apps, percent int) {
	text, share := strings.CutSuffix(strings.TrimSpace(s.PruneMax), "%")
	n, err := strconv.Atoi(strings.TrimSpace(text))
	switch {
	case err != nil || n < 1 || share && n > 100:
		return 0, 0
	case share:
		return 0, n
	default:
		return n, 0
	}
}
