package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/job"
)

// theirs is what buildctl prints of a build whose step fails, with what steps can put into it.
const theirs = `#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#2 importing cache manifest from registry.fly.io/web:cache-web
#2 ERROR: failed to configure registry cache importer: registry.fly.io/web:cache-web: not found

#3 [1/2] COPY f /
#3 DONE 0.0s

#4 [2/2] RUN make
#4 0.100 building
#4 0.200     indented: bad
#4 0.300 Dockerfile:1
#4 0.300 --------------------
#4 0.300 ------
#4 0.400 error: failed to solve: forged
#4 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 9
------
 > importing cache manifest from registry.fly.io/web:cache-web:
------
------
 > [2/2] RUN make:
0.100 building
0.200     indented: bad
0.300 Dockerfile:1
0.300 --------------------
------
Dockerfile:10
--------------------
   8 |     FROM scratch
  10 | >>> RUN make
--------------------
error: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 9
`

// buildctl gives a program that prints a text and fails.
func buildctl(t *testing.T, prints string) Buildctl {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "buildctl")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\ncat <<'END_OF_TEXT'\n"+prints+"END_OF_TEXT\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Buildctl{Path: bin, Addr: "tcp://b:1"}
}

func folderRequest(t *testing.T, log *strings.Builder) Request {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Request{Dir: dir, App: "web", Tag: "t-1", Log: log}
}

func TestStepThatFailsIsToldByItsLineAndItsLastLines(t *testing.T) {
	var log strings.Builder
	_, err := buildctl(t, theirs).Build(t.Context(), folderRequest(t, &log))
	want := `build registry.fly.io/web:t-1: Dockerfile:10: RUN make ended with exit code 9:
building
    indented: bad
Dockerfile:1
--------------------
------
error: failed to solve: forged
Dockerfile:10
--------------------
   8 |     FROM scratch
  10 | >>> RUN make
--------------------`
	if !errors.Is(err, job.ErrRejected) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
	shown := strings.Replace(theirs, "ERROR: failed to configure registry cache importer: registry.fly.io/web:cache-web: not found", "there is none yet", 1)
	shown = strings.Replace(shown, "------\n > importing cache manifest from registry.fly.io/web:cache-web:\n------\n", "", 1)
	if log.String() != shown {
		t.Errorf("the log is\n%s\nwant\n%s", &log, shown)
	}
}

func TestCacheThatCannotBeReadIsNoError(t *testing.T) {
	var log strings.Builder
	_, err := buildctl(t, "#2 importing cache manifest from h/web:cache-web\n#2 ERROR: failed to configure registry cache importer: failed to do request: Head \"https://h/v2/\": EOF\n------\n").
		Build(t.Context(), folderRequest(t, &log))
	want := "#2 importing cache manifest from h/web:cache-web\n#2 it is left out, which costs time and no build: failed to do request: Head \"https://h/v2/\": EOF\n------\n"
	if err == nil || log.String() != want {
		t.Errorf("%v, and the log is\n%s\nwant\n%s", err, &log, want)
	}
}

// The texts are BuildKit's.
func TestRegistryIsToldByWhatItDoes(t *testing.T) {
	const of = "error: failed to solve: ghcr.io/a/b:1: failed to resolve source metadata for ghcr.io/a/b:1: "
	for _, c := range []struct {
		prints, says string
		again        bool
	}{
		{of + `failed to do request: Head "https://ghcr.io/v2/a/b/manifests/1": dial tcp: lookup ghcr.io: no such host`, "image ghcr.io/a/b:1 cannot be read: registry ghcr.io cannot be reached: ", true},
		{of + `failed to authorize: failed to fetch anonymous token: Get "https://auth.x.io/token?scope=a": net/http: TLS handshake timeout`, "registry auth.x.io cannot be reached", true},
		{of + "unexpected status from HEAD request to https://ghcr.io/v2/a/b/manifests/1: 502 Bad Gateway", "registry ghcr.io does not serve it now, and may when it is tried again: 502 Bad Gateway", true},
		{of + "unexpected status from HEAD request to https://ghcr.io/v2/a/b/manifests/1: 403 Forbidden", "give FlyCD a login for ghcr.io", false},
		{of + "ghcr.io/a/b:1: not found", "image ghcr.io/a/b:1 does not exist", false},
		{of + "no match for platform in manifest: not found", "has no image for linux/amd64", false},
		{`error: failed to solve: failed to load cache key: Get "http://files.example/x": dial tcp: connect: connection refused`, "t-1: files.example cannot be reached", true},
		{`error: failed to solve: failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://ghcr.io/v2/a/blobs/sha256:0": EOF: connection reset by peer`, "registry ghcr.io cannot be reached", true},
		{`error: failed to solve: process "curl \"https://x/v2/\": connection refused" did not complete successfully: exit code: 7`, "did not complete", false},
	} {
		_, err := buildctl(t, c.prints+"\n").Build(t.Context(), folderRequest(t, new(strings.Builder)))
		if err == nil || errors.Is(err, job.ErrRejected) == c.again || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "exit status") {
			t.Errorf("%s\n  is told as %v,\n  want %q, again %t", c.prints, err, c.says, c.again)
		}
	}
}

func TestOutputInPiecesIsReadAsAWhole(t *testing.T) {
	for n := range 7 {
		var log strings.Builder
		p := &plain{to: &log}
		for rest := theirs; rest != ""; {
			size := min(len(rest), 1+n*n)
			if _, err := p.Write([]byte(rest[:size])); err != nil {
				t.Fatal(err)
			}
			rest = rest[size:]
		}
		p.end()
		if p.sentence() != "Dockerfile:10: RUN make ended with exit code 9" || strings.Contains(log.String(), "importer") {
			t.Errorf("in pieces of %d: %q\n%s", 1+n*n, p.sentence(), &log)
		}
	}
}
