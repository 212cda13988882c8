package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/forge"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// forget APP [prune]: the config tree stops naming the app, as a sync would note; with prune, it was to be destroyed then.
func forgetApp(ts *testscript.TestScript, _ bool, args []string) {
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		e, found, err := q.Entry(ctx, args[0])
		if !found {
			return errors.Join(err, errors.New("no such app"))
		}
		rest, err := q.Entries(ctx, e.Config.ID())
		if err != nil {
			return err
		}
		e.Prune = len(args) > 1
		if err := q.MarkGone(ctx, e.Config, []queue.Gone{{Entry: e, Commit: strings.Repeat("d", 40)}}); err != nil {
			return err
		}
		rest = slices.DeleteFunc(rest, func(other catalog.Entry) bool { return other.App == e.App })
		gen, err := q.BeginGeneration(ctx, e.Config)
		if err != nil {
			return err
		}
		if _, err := q.WriteEntries(ctx, e.Config, gen, rest); err != nil {
			return err
		}
		_, err = q.SwitchGeneration(ctx, queue.Switch{Config: e.Config, Generation: gen, Commit: strings.Repeat("d", 40), Order: job.Order{Time: 1}})
		return err
	})
}

// pushed APP: a push wants the app deployed, and a dispatcher launches what it may.
func pushApp(ts *testscript.TestScript, _ bool, args []string) {
	withScriptQueue(ts, func(ctx context.Context, q *queue.Queue) error {
		j := job.Job{ID: job.SaltedID(job.Deploy, args[0], "push"), Kind: job.Deploy, App: args[0], Reason: job.ByPush, Created: time.Now()}
		if _, _, err := q.Push(ctx, queue.Delivery{Jobs: []job.Job{j}}); err != nil {
			return err
		}
		_, err := q.TakeMany(ctx, 100, 100)
		return err
	})
}

const callToken = "0123456789abcdef0123456789abcdef"

// callable starts a dispatcher that takes $CALL_TOKEN, and sets FLYCD_DISPATCH_URL to it.
func beCallable(ts *testscript.TestScript, _ bool, _ []string) {
	q, err := queue.Open(ts.Getenv("REDIS_URL"), "")
	ts.Check(err)
	runners := &children{argv: []string{"true"}}
	s := &dispatcher.Server{Queue: q, Runners: runners, Callers: dispatcher.Callers{Tokens: []string{callToken}}, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(s.Public())
	ts.Defer(func() {
		server.Close()
		s.Stop()
		s.Wait()
		runners.wait()
		_ = q.Close()
	})
	ts.Setenv("FLYCD_DISPATCH_URL", server.URL+"/dispatch")
	ts.Setenv("CALL_TOKEN", callToken)
}

// Notices that were given up are for people to see.
func TestUndeliveredIsShown(t *testing.T) {
	t.Parallel()
	url := queuetest.Embedded(t)
	q, err := queue.Open(url, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	const address = "http://127.0.0.1:1/of-the-destination"
	to, err := forge.ParseDestinations("ops=" + address)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := q.AppendLetters(t.Context(), queue.Feed{Upto: "1-1", Letters: []queue.Letter{{Channel: "notice:ops", Body: []byte(`{}`)}}}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	l, ok, err := q.TakeLetter(t.Context(), time.Minute)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := q.LetterFailed(t.Context(), l, queue.LetterFailure{Why: "nobody answers at " + to["ops"].String(), Final: true}); err != nil {
		t.Fatal(err)
	}
	env := []string{"REDIS_URL=" + url}
	for _, c := range []struct{ args, want string }{
		{"status", "warning: 1 notice could not be delivered: flycd jobs --undelivered lists them"},
		{"status -o json", `"undelivered": 1`},
		{"jobs --undelivered", "nobody answers at webhook"},
		{"jobs --undelivered -o json", `"channel": "notice:ops"`},
	} {
		if out, code := said(t, env, strings.Fields(c.args)...); code != exitOK || !strings.Contains(out, c.want) || strings.Contains(out, address) {
			t.Errorf("flycd %s ended with %d, want %q:\n%s", c.args, code, c.want, out)
		}
	}
}

func TestWebhookPathIsNoOtherDoors(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	for _, path := range []string{"dispatch", "/next", "/grant/", "/healthz", "/webhook/registry", "/dispatch/x"} {
		if _, err := alsoAt(h, path); exitCode(err) != exitUsage {
			t.Errorf("%s: got %v", path, err)
		}
	}
	for path, want := range map[string]string{"": "/hooks", "/": "/hooks", "webhook": "/hooks", "hooks": "/webhook", "/hooks/": "/webhook"} {
		also, err := alsoAt(h, path)
		if err != nil {
			t.Fatal(err)
		}
		res := httptest.NewRecorder()
		also.ServeHTTP(res, httptest.NewRequest(http.MethodPost, "/hooks", http.NoBody))
		if got := res.Body.String(); got != want {
			t.Errorf("%q: a request for /hooks is one for %s, want %s", path, got, want)
		}
	}
}

func TestChildrenGetNoSecretOfTheirParent(t *testing.T) {
	for _, name := range []string{"FLYCD_WEBHOOK_SECRET", "FLYCD_DISPATCH_TOKENS", "FLYCD_GITHUB_TOKEN", "FLYCD_GITHUB_APP_KEY_FILE", "FLYCD_NOTIFY"} {
		t.Setenv(name, "of-the-parent")
	}
	t.Setenv("FLYCD_GIT_TOKENS", "of-the-child")
	env := strings.Join(config{APIToken: "a-token"}.childEnv(), "\n")
	if strings.Contains(env, "of-the-parent") || !strings.Contains(env, "FLYCD_GIT_TOKENS=of-the-child") || !strings.Contains(env, "FLY_API_TOKEN=a-token") {
		t.Error("a child has", env)
	}
}
