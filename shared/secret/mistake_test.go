package secret_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
)

// canary is in every value and key of these tests, and in no error.
const canary = "canary9f3a"

// keep drops the lines that hold the text.
func without(content []byte, text string) []byte {
	var kept strings.Builder
	for line := range strings.Lines(string(content)) {
		if !strings.Contains(line, text) {
			kept.WriteString(line)
		}
	}
	return []byte(kept.String())
}

// swapped exchanges the values of the lines that begin with a and b.
func swapped(content []byte, a, b string) []byte {
	values := map[string]string{}
	for line := range strings.Lines(string(content)) {
		for _, key := range []string{a, b} {
			if rest, ok := strings.CutPrefix(line, key); ok {
				values[key] = rest
			}
		}
	}
	text := strings.ReplaceAll(string(content), a+values[a], a+"\x00")
	text = strings.ReplaceAll(text, b+values[b], b+values[a])
	return []byte(strings.ReplaceAll(text, a+"\x00", a+values[b]))
}

func TestEachMistakeHasItsSentence(t *testing.T) {
	mine, other := newAgeKey(t), newAgeKey(t)
	const plain = "A: canary9f3a-a\nB: canary9f3a-b\nport: 5432\nempty: \"\"\nnothing: null\nzero: \"canary9f3a\\0\"\nmap: {x: canary9f3a}\nlist: [canary9f3a]\n"
	good := mine.encrypt(t, "yaml", plain)
	foreign := other.encrypt(t, "yaml", plain)
	const tampered = "the file was changed after it was encrypted, or is damaged"
	for _, c := range []struct {
		name    string
		file    string
		content []byte
		key     string
		r       func(*secret.Resolver)
		want    string
	}{
		{name: "sops is not installed", content: good, r: func(r *secret.Resolver) { r.Sops = "/nowhere/sops" }, want: "the program sops is not installed"},
		{name: "another's key", content: foreign, want: "no key that the runner has opens the file: it is encrypted for " + other.public},
		{name: "no key", content: foreign, r: func(r *secret.Resolver) { r.Keys = nil }, want: "the runner has none: it is encrypted for " + other.public + "; give the runner its private key: SOPS_AGE_KEY for age"},
		{name: "no age key", content: good, r: func(r *secret.Resolver) { r.Keys = map[string]string{"SOPS_AGE_KEY": canary} }, want: "holds is no age key: expected AGE-SECRET-KEY-1…"},
		{name: "values swapped", content: swapped(good, "A: ", "B: "), want: tampered},
		{name: "a value removed", content: without(good, "port: "), want: tampered},
		{name: "a value added", content: append([]byte("C: canary9f3a\n"), good...), want: tampered},
		{name: "MAC removed", content: without(good, "    mac: "), want: tampered},
		{name: "date changed", content: []byte(strings.Replace(string(good), "lastmodified: \"2", "lastmodified: \"1", 1)), want: tampered},
		{name: "cut in the middle", content: good[:len(good)/2], want: "secrets A: s.yaml: "},
		{name: "missing key", content: good, key: "C", want: `there is no key "C"; the file has A, B, empty, list, map, nothing, port, zero`},
		{name: "missing inner key", content: good, key: "map.y", want: `there is no key "map.y"`},
		{name: "missing item", content: good, key: "list.1", want: `there is no key "list.1"`},
		{name: "a map", content: good, key: "map", want: `key "map" holds a map, not a value: name a key in it, such as map.x`},
		{name: "a list", content: good, key: "list", want: `key "list" holds a list, not a value: name an item by its number, such as list.0`},
		{name: "empty", content: good, key: "empty", want: "its value is empty"},
		{name: "null", content: good, key: "nothing", want: "its value is empty"},
		{name: "zero byte", content: good, key: "zero", want: "its value holds a zero byte"},
		{name: "too long", content: good, key: "A", r: func(r *secret.Resolver) { r.Limits.Value = 12 }, want: "its value has 12 bytes; a variable of a machine takes at most 12 with its name"},
		{name: "file too large", content: good, r: func(r *secret.Resolver) { r.Limits.File = 100 }, want: "bytes; expected at most 100"},
		{name: "not encrypted", content: []byte(plain), want: "the file is not encrypted by sops: run sops encrypt -i on it"},
		{name: "another format", file: "s.json", content: good, want: "the file is not what sops writes as json"},
		{name: "another ending", file: "s.secret", content: good, want: "the file is not what sops writes as binary"},
		{name: "empty file", content: nil, want: "secrets A: s.yaml: "},
		{name: "no file", file: "-", want: "there is no such file in the config repo"},
		{name: "absolute path", file: "/etc/s.yaml", content: good, want: "/etc/s.yaml is an absolute path"},
		{name: "whole file with a key", file: "s.pem", content: mine.encrypt(t, "binary", canary), key: "x", want: `key "x": the file is one value as a whole and has no keys`},
		{name: "no text", file: "s.pem", content: mine.encrypt(t, "binary", canary+"\xff"), want: "its value is not text; encode it as base64"},
		{name: "key service", file: "s.json", content: []byte(vaultOnly), want: "it is encrypted for other keys than age's and PGP's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mine.resolver(t)
			if c.r != nil {
				c.r(&r)
			}
			file := "s.yaml"
			if c.file != "" {
				file = c.file
			}
			files := map[string][]byte{file: c.content}
			if c.file == "-" {
				files = nil
			}
			values, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "A", Type: "sops", File: file, Key: c.key}), files)
			if !errors.Is(err, job.ErrRejected) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Fatalf("got %v, want a rejection with %q", err, c.want)
			}
			if !strings.Contains(err.Error(), " A: ") && c.name != "sops is not installed" {
				t.Errorf("%v does not name the secret", err)
			}
			if strings.Contains(err.Error(), canary) || len(values) != 0 {
				t.Errorf("%v tells a value", err)
			}
			left(t, r.Dir)
		})
	}
}

// vaultOnly is a file that only a Vault server opens.
const vaultOnly = `{"A":"ENC[AES256_GCM,data:iTZk,iv:aaaa,tag:aaaa,type:str]","sops":{"hc_vault":[{"vault_address":"http://127.0.0.1:1",
"engine_path":"sops","key_name":"k","created_at":"2026-01-01T00:00:00Z","enc":"vault:v1:x"}],"lastmodified":"2026-01-01T00:00:00Z",
"mac":"ENC[AES256_GCM,data:iTZk,iv:aaaa,tag:aaaa,type:str]","version":"3.13.3"}}`

func TestFileSecretsHaveSentencesToo(t *testing.T) {
	for _, c := range []struct {
		ref     manifest.SecretRef
		content string
		want    string
	}{
		{manifest.SecretRef{Type: "file", File: "f", Key: "x"}, canary, "f: a file is taken as a whole and has no key"},
		{manifest.SecretRef{Type: "file", File: "f"}, "ENC[AES256_GCM,data:" + canary, "f: the file is encrypted by sops: use type: sops"},
		{manifest.SecretRef{Type: "file", File: "f"}, "\n", "its value is empty"},
		{manifest.SecretRef{Type: "file", File: "f"}, canary + "\xff", "its value is not text"},
		{manifest.SecretRef{Type: "file", File: "/f"}, canary, "file: expected a file of the config repo, relative to the app.yaml; /f is an absolute path"},
		{manifest.SecretRef{Type: "file", File: "g"}, canary, "g: there is no such file"},
		{manifest.SecretRef{Type: "file"}, canary, "file: is missing"},
		{manifest.SecretRef{Type: "file", File: "f"}, strings.Repeat(canary, 13200), "its value has 132000 bytes; a variable of a machine takes at most 131070 with its name"},
		{manifest.SecretRef{Type: "file", File: "f"}, strings.Repeat(canary, 200000), "f: the file has 2000000 bytes; expected at most 1048576"},
		{manifest.SecretRef{Type: "raw"}, canary, "its value is empty"},
		{manifest.SecretRef{Type: "vault"}, canary, `type: expected env, raw, sops or file, found "vault"`},
	} {
		c.ref.Name = "X"
		_, err := secret.Resolver{}.Resolve(t.Context(), app(c.ref), map[string][]byte{"f": []byte(c.content), "/f": []byte(c.content)})
		if !errors.Is(err, job.ErrRejected) || !strings.HasPrefix(fmt.Sprint(err), "secret X: "+c.want) {
			t.Errorf("%+v: got %v, want %q", c.ref, err, c.want)
		}
		if strings.Contains(fmt.Sprint(err), canary) {
			t.Errorf("%v tells a value", err)
		}
	}
}

func TestSopsThatHangsOrIsKilledMayBeTriedAgain(t *testing.T) {
	r := secret.Resolver{Sops: script(t, "exec sleep 60"), Dir: t.TempDir(), Limits: secret.Limits{Sops: 50 * time.Millisecond}}
	a := app(manifest.SecretRef{Name: "X", Type: "sops", File: "s.yaml"})
	files := map[string][]byte{"s.yaml": []byte("x")}
	_, err := r.Resolve(t.Context(), a, files)
	if err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "s.yaml: sops did not answer within 50ms") {
		t.Errorf("got %v", err)
	}
	left(t, r.Dir)

	r.Sops = script(t, "kill -9 $$")
	if _, err := r.Resolve(t.Context(), a, files); err == nil || errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "s.yaml: sops was killed") {
		t.Errorf("got %v", err)
	}

	cause := errors.New("the claim is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := r.Resolve(ctx, a, files); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	left(t, r.Dir)
}

func TestWhatSopsSaysIsNotRepeated(t *testing.T) {
	for _, code := range []int{0, 1, 2, 4, 25, 51, 52, 128, 203} {
		r := secret.Resolver{
			Dir:  t.TempDir(),
			Sops: script(t, fmt.Sprintf("echo canary9f3a\necho 'error: canary9f3a: metadata not found FAILED\n  canary9f3a: FAILED\n' >&2\nexit %d", code)),
		}
		_, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "sops", File: "s.yaml"}), map[string][]byte{"s.yaml": []byte("x")})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("code %d: got %v", code, err)
		}
	}
}

func TestEndlessAnswerIsCut(t *testing.T) {
	r := secret.Resolver{Sops: script(t, "exec cat /dev/zero"), Dir: t.TempDir()}
	_, err := r.Resolve(t.Context(), app(manifest.SecretRef{Name: "X", Type: "sops", File: "s.yaml"}), map[string][]byte{"s.yaml": []byte("x")})
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "what is in it has more than 8388608 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestResolverShowsItselfNowhere(t *testing.T) {
	r := secret.Environment([]string{"A=" + canary, "SOPS_AGE_KEY=" + canary, "FLYCD_PGP_KEY=" + canary})
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "x", "r", r, "p", &r)
	slog.New(slog.NewTextHandler(&log, nil)).InfoContext(t.Context(), "x", "r", r, "p", &r)
	text, err := json.Marshal(map[string]any{"r": r, "p": &r})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %v %s %s", r, r, r, r, &r, log.String(), text)
	if strings.Contains(all, canary) {
		t.Error(all)
	}
}

// left fails when something is left in the folder.
func left(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
