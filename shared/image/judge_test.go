package image

import (
	"errors"
	"strings"
	"testing"

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

func TestSecretsAreTakenOutHoweverTheyArrive(t *testing.T) {
	req := Request{
		Secrets: map[string]manifest.Secret{"A": manifest.NewSecret("hunter2-secret"), "B": manifest.NewSecret("line-one\nline-two\nxy\n")},
		SSH:     map[string]manifest.Secret{"C": manifest.NewSecret("hunter2")},
	}
	var log strings.Builder
	script := "printf 'a hunter'; sleep 0.1; printf '2-secret b\nline-two\nhunt'; sleep 0.1; printf 'er2 xy and line-'; sleep 0.1; printf one; exit 1"
	err := program{path: "/bin/sh", args: []string{"-c", script}, log: &log, redact: req.Redactor()}.run(t.Context())
	var f *failure
	if !errors.As(err, &f) {
		t.Fatal(err)
	}
	if want := "a [secret] b\n[secret]\n[secret] xy and [secret]\n"; log.String() != want || f.last+"\n" != want {
		t.Errorf("log %q and last lines %q, want %q", log.String(), f.last, want)
	}
}

func TestLastLinesAreBounded(t *testing.T) {
	var log strings.Builder
	l := &lastLines{to: &log}
	line := strings.Repeat("0123456789", longestLine)
	for range 3 * keptLines {
		for rest := line + "\n"; rest != ""; {
			n := min(len(rest), 999)
			if _, err := l.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
	}
	l.end()
	if want := strings.Repeat(line+"\n", 3*keptLines); log.String() != want {
		t.Errorf("%d bytes in the log, want %d", log.Len(), len(want))
	}
	if want := strings.Repeat(line[:longestLine]+"\n", keptLines); l.String()+"\n" != want {
		t.Errorf("%d bytes are kept, want %d", len(l.String()), len(want))
	}
}
