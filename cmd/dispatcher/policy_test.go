package main

import (
	"testing"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
)

// TestDispatcherLetsThroughWhatTheRunnerTakes holds the dispatcher's sieve to the runner's choice: a tag that the
// runner would never take starts none, and one that it might take always does.
func TestDispatcherLetsThroughWhatTheRunnerTakes(t *testing.T) {
	tags := []string{
		"latest", "nightly", "1", "17", "1.2", "1.2.0", "v1.2.3", "1.3.0-rc.1", "2.0.0", "1.2.3-alpine", "20261124", "main-17", "main-x", "r2", "rel-2.1.0", "0.9",
		"sha-0d1a26e", "a-1", "b-1", "01.02", "1.2.3.4", "999999999999999999999", "_", "v",
	}
	var policies []manifest.ImagePolicy
	for _, semver := range []string{"", "*", ">=1.2", ">=1.2 <2", ">=1.2-0", "~1.2 || 2.x", "^1", "broken"} {
		for _, regex := range []string{"", "^main-([0-9]+)$", "^r(.*)$", "-alpine$", "^(?:a-(.*)|b-.*)$", "^v?[0-9]", "(", "^rel-(.*)$", ".*"} {
			for _, sort := range []string{"", "number", "text", "semver"} {
				policies = append(policies, manifest.ImagePolicy{Semver: semver, Regex: regex, Sort: sort})
			}
		}
	}
	taken := 0
	for _, p := range policies {
		for _, tag := range tags {
			r := catalog.ImageRoute{App: "web", Image: "ghcr.io/acme/web", Policy: catalog.ImagePolicy(p), Auto: true}
			_, want, err := image.Choose([]string{tag}, p)
			if want = want && err == nil; want {
				taken++
			}
			if got, why := r.Follows(tag); got != want || (why == "") != got {
				t.Errorf("%+v at %s: followed %t (%s), taken %t (%v)", p, tag, got, why, want, err)
			}
		}
	}
	if taken < 500 {
		t.Errorf("only %d of the pairs are taken: the table says little", taken)
	}
}
