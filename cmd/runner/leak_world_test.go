package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// need gives a program; a test that needs it is skipped by name where it is missing.
func need(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			t.Fatal(name + " is not installed")
		}
		t.Skip(name + " is not installed")
	}
	return program
}

// leaky is a run of the whole runner whose secrets are canaries.
type leaky struct {
	*deploytest.World
	t     *testing.T
	redis string
	queue *queue.Queue
	repo  *deploytest.Repo
	// canaries are the values that must be nowhere, by what they are; keys are those that sops alone may see.
	canaries, keys map[string]string
	age            *age.X25519Identity
	// ring is a folder with the public half of the runner's PGP key, private the other half.
	ring, private, fingerprint string
	// said is what the runners wrote, arrived what the app was given.
	said          bytes.Buffer
	arrived       string
	record, notes string
	temp          string
	img           string
}

func newLeaky(t *testing.T) *leaky {
	t.Helper()
	program := need(t, "sops")
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &leaky{
		t: t, redis: queuetest.Redis(t), age: identity, canaries: map[string]string{}, keys: map[string]string{"age": identity.String()},
		record: filepath.Join(dir, "record"), notes: filepath.Join(dir, "notes"), temp: filepath.Join(dir, "temp"), arrived: filepath.Join(dir, "arrived"),
	}
	for _, name := range []string{"env", "renamed", "raw", "file", "sops", "whole", "pgp", "digest", "first", "second"} {
		l.canaries[name] = canary(t, name)
	}
	if l.queue, err = queue.Open(l.redis, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.queue.Close() })
	programs := map[string][]string{}
	l.World = deploytest.New(t, flysim.Options{Record: l.record, Exec: programs})
	programs[l.Registry+"/worker"] = []string{"sleep", "600"}
	l.img = l.Image("worker:1")
	l.repo = l.Repo("config")
	l.makePGP()
	l.watch(dir, program)
	return l
}

// makePGP makes the runner's PGP key.
func (l *leaky) makePGP() {
	l.t.Helper()
	e, err := openpgp.NewEntity("runner", "", "runner@example.com", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var public, private bytes.Buffer
	w, err := armor.Encode(&private, openpgp.PrivateKeyType, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := errors.Join(e.SerializePrivate(w, nil), w.Close(), e.Serialize(&public)); err != nil {
		l.t.Fatal(err)
	}
	l.ring = l.t.TempDir()
	if err := os.WriteFile(filepath.Join(l.ring, "pubring.gpg"), public.Bytes(), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.private, l.fingerprint = private.String(), strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
	l.keys["PGP"] = strings.Split(l.private, "\n")[5] // a line from the middle
}

// canary is a value with characters that each text form writes in its own way.
func canary(t *testing.T, name string) string {
	t.Helper()
	b := make([]byte, 8)
	_, _ = rand.Read(b) // it never fails
	return "canary-" + name + `-"&é/` + hex.EncodeToString(b)
}

// watch puts a program before sops that writes down how it was started, and what all processes of the machine
// have on their command lines then.
func (l *leaky) watch(dir, sops string) {
	l.t.Helper()
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{bin, l.temp} {
		if err := os.Mkdir(d, 0o700); err != nil {
			l.t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\n{ echo \"$@\"; env; for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p; echo; done 2>/dev/null; } >> %s\nexec %s \"$@\"\n", l.notes, sops)
	if err := os.WriteFile(filepath.Join(bin, "sops"), []byte(script), 0o700); err != nil {
		l.t.Fatal(err)
	}
	l.t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	l.t.Setenv("TMPDIR", l.temp)
}

// encrypt encrypts for one of the runner's keys.
func (l *leaky) encrypt(format, plain string, key ...string) string {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), "sops", append([]string{"encrypt", "--input-type", format, "--output-type", format}, append(key, "/dev/stdin")...)...)
	cmd.Stdin = strings.NewReader(plain)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+l.ring)
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.Remove(l.notes); err != nil { // what the test itself started does not count
		l.t.Fatal(err)
	}
	return string(out)
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// manifest is an app with a secret of each type, whose release command tells them all.
func (l *leaky) manifest() string {
	return `app: leaky
org: personal
primary_region: ams
source: {type: image, image: ` + l.img + `}
deploy:
  release_command: sh -c "env | tee ` + l.arrived + `"
secrets:
  - {name: PLAIN, type: env}
  - {name: RENAMED, type: env, env: OTHER}
  - {name: RAW, type: raw, raw: ` + quoted(l.t, l.canaries["raw"]) + `}
  - {name: FILE, type: file, file: value.txt}
  - {name: SOPS, type: sops, file: prod.yaml, key: inner.value}
  - {name: WHOLE, type: sops, file: whole.txt}
  - {name: PGP, type: sops, file: pgp.json}
  - {name: PEM, type: file, file: key.pem}
`
}

func (l *leaky) commit(manifest string) {
	toAge := []string{"--age", l.age.Recipient().String()}
	l.repo.Commit(map[string]string{
		"app.yaml": manifest, "value.txt": l.canaries["file"] + "\n", "key.pem": "-----BEGIN KEY-----\n" + l.canaries["first"] + "\n" + l.canaries["second"] + "\n-----END KEY-----\n",
		"prod.yaml": l.encrypt("yaml", "inner:\n  value: "+quoted(l.t, l.canaries["sops"])+"\n", toAge...),
		"whole.txt": l.encrypt("binary", l.canaries["whole"]+"\n", toAge...),
		"pgp.json":  l.encrypt("json", `{"PGP": `+quoted(l.t, l.canaries["pgp"])+`}`, "--pgp", l.fingerprint),
	})
}

// do lets a runner do a job of the kind, and gives what was recorded of it.
func (l *leaky) do(kind job.Kind, more ...string) queue.Record {
	l.t.Helper()
	j := job.Job{ID: job.SaltedID(kind, "leaky", time.Now().String()), Kind: kind, App: "leaky", Config: job.Config{Repo: l.repo.URL}, Created: time.Now()}
	if _, _, err := l.queue.Push(l.t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		l.t.Fatal(err)
	}
	launch, ok, err := l.queue.Take(l.t.Context(), 20)
	if err != nil || !ok {
		l.t.Fatalf("nothing to launch: %v", err)
	}
	vars := append([]string{
		"FLYCD_JOB=" + string(launch.Job.ID), fmt.Sprintf("FLYCD_ATTEMPT=%d", launch.Attempt), "FLY_MACHINE_ID=m-" + string(launch.Job.ID),
		"REDIS_URL=" + l.redis, "FLY_API_TOKEN=" + deploytest.Token, "FLYCD_DIGEST_KEY=" + l.canaries["digest"], "FLYCD_LOG=text,debug", "FLYCD_BUILDER=fact",
		"FLY_FLAPS_BASE_URL=" + l.FlyURL, "FLY_API_BASE_URL=" + l.FlyURL, "FLY_UIEX_BASE_URL=" + l.FlyURL,
		"PATH=" + os.Getenv("PATH"), "PLAIN=" + l.canaries["env"], "OTHER=" + l.canaries["renamed"], "SOPS_AGE_KEY=" + l.keys["age"], "FLYCD_PGP_KEY=" + l.private,
	}, more...)
	if code := run(l.t.Context(), nil, environment{vars: vars, out: &l.said, err: &l.said}); code != exitOK {
		l.t.Fatalf("exit code %d:\n%s", code, l.said.String())
	}
	record, err := l.queue.Job(l.t.Context(), launch.Job.ID)
	if err != nil {
		l.t.Fatalf("no record: %v", err)
	}
	return record
}
