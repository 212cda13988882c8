package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/redis/go-redis/v9"

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

// left gives everything that the runs have left, by where it is.
func (l *leaky) left() map[string]string {
	l.t.Helper()
	all := map[string]string{"what the runner said": l.said.String(), "requests to Fly": strings.Join(l.FlyRequests.Matching(func(string, string) bool { return true }), "\n")}
	l.dump(all)
	state := l.Sim.State()
	for i := range state.Apps {
		for k := range state.Apps[i].Machines {
			state.Apps[i].Machines[k].Output = nil // what the app itself says to Fly is its own
		}
	}
	text, err := json.Marshal(state)
	if err != nil {
		l.t.Fatal(err)
	}
	all["Fly's state"] = string(text)
	for _, dir := range []string{l.record, l.temp} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // Fly was asked nothing
			}
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			all[name] = string(content)
			return err
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	return all
}

// dump reads every key of Redis.
func (l *leaky) dump(all map[string]string) {
	l.t.Helper()
	o, err := redis.ParseURL(l.redis)
	if err != nil {
		l.t.Fatal(err)
	}
	rdb := redis.NewClient(o)
	defer func() { _ = rdb.Close() }()
	ctx := l.t.Context()
	keys, err := rdb.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		l.t.Fatalf("Redis has no keys: %v", err)
	}
	for _, key := range keys {
		var value any
		switch kind := rdb.Type(ctx, key).Val(); kind {
		case "string":
			value, err = rdb.Get(ctx, key).Result()
		case "hash":
			value, err = rdb.HGetAll(ctx, key).Result()
		case "list":
			value, err = rdb.LRange(ctx, key, 0, -1).Result()
		case "set":
			value, err = rdb.SMembers(ctx, key).Result()
		case "zset":
			value, err = rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
		case "stream":
			value, err = rdb.XRange(ctx, key, "-", "+").Result()
		default:
			l.t.Fatalf("%s is a %s, which this test cannot read", key, kind)
		}
		if err != nil {
			l.t.Fatal(err)
		}
		all["Redis "+key] = fmt.Sprint(value)
	}
}

// forms are the ways to write a value.
func forms(t *testing.T, value string) []string {
	t.Helper()
	return []string{
		value, strings.Trim(fmt.Sprintf("%q", value), `"`), strings.Trim(quoted(t, value), `"`), url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.URLEncoding.EncodeToString([]byte(value)), base64.RawStdEncoding.EncodeToString([]byte(value)),
		value[len(value)-16:], // the random digits, however the rest is written
	}
}

// clean fails for every canary that is somewhere.
func (l *leaky) clean() {
	l.t.Helper()
	all := l.left()
	for what, value := range l.canaries {
		for _, form := range forms(l.t, value) {
			for where, text := range all {
				if at := strings.Index(text, form); at >= 0 {
					l.t.Errorf("the %s secret is in %s: …%s…", what, where, text[max(0, at-80):min(len(text), at+80)])
				}
			}
			if notes, err := os.ReadFile(l.notes); err == nil && strings.Contains(string(notes), form) {
				l.t.Errorf("sops, or a command line, was told the %s secret", what)
			}
		}
	}
	for what, value := range l.keys {
		for where, text := range all {
			if strings.Contains(text, value) {
				l.t.Errorf("the %s key is in %s", what, where)
			}
		}
	}
}

// echo makes Fly refuse the secrets, and say their values, as written, in the refusal.
func (l *leaky) echo(write func(string) string) {
	l.t.Helper()
	said := "bad secrets:"
	for what, value := range l.canaries {
		if what != "digest" { // Fly never gets it
			said += " " + write(value)
		}
	}
	body, err := json.Marshal(map[string]string{"error": said})
	if err != nil {
		l.t.Fatal(err)
	}
	fault := flysim.Fault{Match: flysim.Match{Method: "POST", Path: "/v1/apps/leaky/secrets*"}, Do: flysim.Effect{Status: 422, Body: body, Repeat: -1}}
	if err := l.Sim.SetFaults(fault); err != nil {
		l.t.Fatal(err)
	}
}

func TestNoSecretIsLeftBehind(t *testing.T) {
	l := newLeaky(t)
	l.commit(l.manifest())
	if plan := l.do(job.Plan); plan.Result.Outcome != job.Created || !strings.Contains(strings.Join(plan.Result.Changes, "\n"), "PLAIN") {
		t.Errorf("the plan does not name the secrets: %+v", plan.Result)
	}
	created := l.do(job.Deploy)
	if created.Result.Outcome != job.Created {
		t.Fatalf("outcome %s: %s\n%s", created.Result.Outcome, created.Result.Detail, l.said.String())
	}
	arrived, err := os.ReadFile(l.arrived)
	if err != nil {
		t.Fatal(err)
	}
	for what, value := range l.canaries {
		if what != "digest" && !strings.Contains(string(arrived), value+"\n") {
			t.Errorf("the %s secret did not reach the app", what)
		}
	}
	notes, err := os.ReadFile(l.notes)
	if err != nil || !strings.Contains(string(notes), l.keys["age"]) || strings.Contains(string(notes), deploytest.Token) || strings.Contains(string(notes), l.keys["PGP"]) {
		t.Errorf("sops was not started as it should be: %v", err)
	}
	if again := l.do(job.Deploy); again.Result.Outcome != job.Unchanged {
		t.Errorf("outcome %s: %s", again.Result.Outcome, again.Result.Detail)
	}
	log := l.left()["Redis flycd:log:"+string(created.Job.ID)]
	for _, name := range []string{"PLAIN", "RENAMED", "RAW", "FILE", "SOPS", "WHOLE", "PGP"} {
		if !strings.Contains(log, name+"=[secret]") {
			t.Errorf("what the release command said of %s is not in the job's log: %s", name, log)
		}
	}
	l.clean()
	entries, err := os.ReadDir(l.temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "flycd-sops-") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

func TestNoSecretIsInAnError(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(l *leaky) (vars []string)
		want   job.Outcome
		says   string
	}{
		{"another key", func(l *leaky) []string {
			other, err := age.GenerateX25519Identity()
			if err != nil {
				l.t.Fatal(err)
			}
			l.keys["other"] = other.String()
			return []string{"SOPS_AGE_KEY=" + other.String()}
		}, job.Rejected, "no key that the runner has opens the file"},
		{"no variable", func(l *leaky) []string {
			l.commit(strings.Replace(l.manifest(), "env: OTHER", "env: GONE", 1))
			return nil
		}, job.Rejected, "GONE is not in the runner's environment"},
		{"Fly repeats the values", func(l *leaky) []string {
			l.echo(func(value string) string { return value })
			return nil
		}, "", "bad secrets"},
		{"Fly repeats what it was sent", func(l *leaky) []string {
			l.echo(func(value string) string { return quoted(l.t, value) })
			return nil
		}, "", "bad secrets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLeaky(t)
			l.commit(l.manifest())
			record := l.do(job.Deploy, c.change(l)...)
			if c.want != "" && record.Result.Outcome != c.want {
				t.Errorf("outcome %s, want %s", record.Result.Outcome, c.want)
			}
			if !strings.Contains(record.Result.Detail+l.said.String(), c.says) {
				t.Errorf("%q is not said: %s\n%s", c.says, record.Result.Detail, l.said.String())
			}
			l.clean()
		})
	}
}
