package image

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// The texts are what BuildKit and flyctl print.
func TestFailuresAreJudgedByWhatTheyAre(t *testing.T) {
	const step = `error: failed to solve: process "/bin/sh -c make" did not complete successfully: `
	for _, c := range []struct {
		text, says string
		retry      bool
	}{
		{step + "exit code: 2", "the build failed", false},
		{"dial tcp 10.0.0.1:5432: connect: connection refused\n" + step + "exit code: 1", "the build failed", false},
		{"connect: connection refused\nError: failed to fetch an image or build from source: error building: failed to solve: process \"make\" did not complete successfully: exit code: 1", "the build failed", false},
		{step + "exit code: 137", "ran out of memory", false},
		{step + "exit code: 137: cannot allocate memory", "give the builder's machine more memory", false},
		{"cc: fatal error: no space left on device\n" + step + "exit code: 1", "disk is full", false},
		{"error: failed to solve: failed to copy: write /var/lib/x: no space left on device", "disk is full", false},
		{"error: failed to solve: ghcr.io/acme/base:1: failed to do request: dial tcp: lookup ghcr.io: no such host", "no such host", true},
		{"error: failed to solve: rpc error: code = Unavailable desc = error reading from server: EOF", "Unavailable", true},
		// the cache that is not there is no reason to try again
		{"ERROR: importing cache manifest: connection refused\nerror: failed to solve: dockerfile parse error on line 2: unknown instruction: COPPY", "line 2", false},
		{"Waiting for remote builder fly-builder-x...\nError: error connecting to docker: remote builder app unavailable", "unavailable", true},
	} {
		err := judge("build web", &failure{err: errors.New("exit status 1"), last: c.text})
		if errors.Is(err, job.ErrRejected) == c.retry || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s:\n%v", c.text, err)
		}
	}
}

func TestSecretsAreHiddenHoweverTheyArrive(t *testing.T) {
	secrets := map[string]manifest.Secret{"A": manifest.NewSecret("hunter2-secret"), "B": manifest.NewSecret("line-one\nline-two\nxy\n"), "C": manifest.NewSecret("hunter2")}
	if diff := cmp.Diff([]string{"hunter2-secret", "line-one", "line-two", "hunter2"}, masks(secrets)); diff != "" {
		t.Error(diff)
	}
	text := "a hunter2-secret b\nline-two\nhunter2 xy and line-one"
	for size := 1; size <= len(text); size++ {
		var log strings.Builder
		l := &lastLines{to: &log, masks: masks(secrets)}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := l.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		l.end()
		if want := "a *** b\n***\n*** xy and ***\n"; log.String() != want || l.String()+"\n" != want {
			t.Fatalf("in parts of %d: %q and %q", size, log.String(), l.String())
		}
	}
}

func TestLineWithoutAnEndIsHandedOnInParts(t *testing.T) {
	var log strings.Builder
	l := &lastLines{to: &log, masks: []string{"hunter2-secret"}}
	for range longestPart / 1000 {
		if _, err := l.Write([]byte(strings.Repeat("hunter2-secret.", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	l.end()
	if got := log.String(); strings.Contains(got, "hunter2") || strings.Count(strings.ReplaceAll(got, "\n", ""), "***.") != longestPart/1000*1000 {
		t.Errorf("%d bytes with the value, or without some of its masks", len(got))
	}
	if n := len(l.String()); n > keptLines*(longestLine+1) {
		t.Errorf("%d bytes are kept", n)
	}
}
