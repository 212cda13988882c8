package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

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
			if err != nil || d.IsDir() || d.Type() == fs.ModeSocket { // a socket keeps nothing
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
