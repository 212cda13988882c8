package launch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

func TestTicketIsForOneAttemptAndEnds(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	key := launch.TicketKey("FlyV1 fm2_abc")
	good := launch.Asking{Job: theID, Attempt: 2, Ticket: launch.Ticket(key, theID, 2, now.Add(time.Hour))}
	if err := launch.CheckTicket(key, good, now); err != nil {
		t.Fatal(err)
	}
	if err := launch.CheckTicket(launch.TicketKey("fm2_abc"), good, now); err != nil {
		t.Errorf("the token without its scheme: %v", err)
	}
	if again := launch.Ticket(key, theID, 2, now.Add(time.Hour)); again != good.Ticket {
		t.Error("the same launch gives another ticket")
	}
	until, sum, _ := strings.Cut(good.Ticket, ".")
	for name, bad := range map[string]launch.Asking{
		"another attempt":    {Job: theID, Attempt: 3, Ticket: good.Ticket},
		"another job":        {Job: theID[1:] + "a", Attempt: 2, Ticket: good.Ticket},
		"a later end":        {Job: theID, Attempt: 2, Ticket: "9" + until + "." + sum},
		"no sum":             {Job: theID, Attempt: 2, Ticket: until + "."},
		"another sum":        {Job: theID, Attempt: 2, Ticket: until + "." + strings.Repeat("A", len(sum))},
		"another spelling":   {Job: theID, Attempt: 2, Ticket: "+" + good.Ticket},
		"nothing":            {Job: theID, Attempt: 2},
		"one of another key": {Job: theID, Attempt: 2, Ticket: launch.Ticket(launch.TicketKey("fm2_other"), theID, 2, now.Add(time.Hour))},
	} {
		if err := launch.CheckTicket(key, bad, now); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := launch.CheckTicket(key, good, now.Add(time.Hour)); err == nil {
		t.Error("it passes after its end")
	}
	if err := launch.CheckTicket(nil, launch.Asking{Job: theID, Attempt: 2, Ticket: launch.Ticket(nil, theID, 2, now.Add(time.Hour))}, now); err == nil {
		t.Error("it passes without a key")
	}
	for _, none := range []string{"", " "} {
		if key := launch.TicketKey(none); key != nil {
			t.Errorf("whoever knows that there is no token (%q) has a key of tickets", none)
		}
	}
}

func TestMachineGetsItsTicket(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	l.Mint, l.GrantURL = "fm2_abc", "https://dispatcher.example/grant"
	r := runner()
	m, err := l.Launch(within(t, 5*time.Second), r)
	need(t, err)
	text := f.send(http.MethodGet, "/v1/apps/runners/machines/"+m.ID, "")
	var got struct {
		Config struct{ Env map[string]string }
	}
	need(t, json.Unmarshal([]byte(text), &got))
	asking := launch.Asking{Job: r.Job.ID, Attempt: r.Attempt, Machine: m.ID, Ticket: got.Config.Env["FLYCD_TICKET"]}
	if err := launch.CheckTicket(launch.TicketKey(l.Mint), asking, time.Now()); err != nil || got.Config.Env["FLYCD_GRANT_URL"] != l.GrantURL {
		t.Errorf("env %v: %v", got.Config.Env, err)
	}
	if strings.Contains(text, "fm2_") {
		t.Error("the machine's config holds a token")
	}
}

func TestLaunchesWithoutAMintTokenGetNoTicket(t *testing.T) {
	f := newFly(t)
	m, err := f.launcher().Launch(within(t, 5*time.Second), runner())
	need(t, err)
	if text := f.send(http.MethodGet, "/v1/apps/runners/machines/"+m.ID, ""); strings.Contains(text, "FLYCD_TICKET") || strings.Contains(text, "FLYCD_GRANT_URL") {
		t.Error(text)
	}
}

// answering is a dispatcher that gives one answer after another; the last one stays.
func answering(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) (string, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[min(int(n.Add(1)), len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/grant", &n
}

func says(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestGrantIsAskedForUntilTheDispatcherIsAwake(t *testing.T) {
	want := launch.Grant{FlyToken: "fm2_narrow", Git: []launch.GitCredential{{Repo: "https://github.com/a/b", Username: "x-access-token", Password: "p"}}, Expires: time.Unix(1_800_000_000, 0).UTC()}
	body, err := json.Marshal(want)
	need(t, err)
	url, n := answering(t, drops, says(503, `{"error":"no Redis"}`), says(429, ""), func(w http.ResponseWriter, r *http.Request) {
		var a launch.Asking
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil || a != (launch.Asking{Job: theID, Attempt: 1, Machine: "m", Ticket: "t"}) {
			t.Errorf("asked %+v, %v", a, err)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer identity" {
			t.Errorf("authorization %q", got)
		}
		_, _ = w.Write(body)
	})
	got, err := launch.Ask(within(t, 20*time.Second), launch.GrantRequest{Asking: launch.Asking{Job: theID, Attempt: 1, Machine: "m", Ticket: "t"}, URL: url, Identity: "identity"})
	if err != nil || fmt.Sprint(got.Git[0].Password, got.FlyToken, got.Expires) != fmt.Sprint("p", "fm2_narrow", want.Expires) || n.Load() != 4 {
		t.Errorf("got %#v, %v after %d", got, err, n.Load())
	}
}

func TestRefusalsAreNotAskedAgain(t *testing.T) {
	for _, c := range []struct {
		status   int
		body     string
		want     error
		sentence string
	}{
		{401, `{"error":"ticket: its time is over"}`, launch.ErrRefused, "its time is over"},
		{403, ``, launch.ErrRefused, "Forbidden"},
		{409, `{"error":"another machine has it"}`, launch.ErrRefused, "another machine"},
		{422, `{"error":"app x: the name is somebody else's"}`, job.ErrRejected, "somebody else's"},
		{404, ``, nil, "404"},
		{307, ``, nil, "307"},
		{200, `{"fly_token":"fm2_secret`, nil, "no grant"},
		{200, `["fm2_secret"]`, nil, "no grant"},
	} {
		url, n := answering(t, says(c.status, c.body))
		_, err := launch.Ask(within(t, 10*time.Second), launch.GrantRequest{Asking: launch.Asking{Job: theID, Ticket: "the-ticket"}, URL: url})
		if err == nil || n.Load() != 1 || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%d %s: %v after %d requests", c.status, c.body, err, n.Load())
		}
		if s := fmt.Sprint(err); strings.Contains(s, "secret") || strings.Contains(s, "the-ticket") {
			t.Errorf("the error tells a secret: %v", err)
		}
		if c.want == nil && (errors.Is(err, launch.ErrRefused) || errors.Is(err, job.ErrRejected)) {
			t.Errorf("%d: %v, want one that may be tried again", c.status, err)
		}
	}
}

func TestAskingEndsWithItsContext(t *testing.T) {
	url, _ := answering(t, says(503, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := launch.Ask(ctx, launch.GrantRequest{URL: url}); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

func TestSecretsTravelOverHTTPSOrAtHome(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for url, fine := range map[string]bool{
		"https://flycd.fly.dev/grant": true, "http://127.0.0.1:1/grant": true, "http://[::1]:1/grant": true, "http://localhost:1/grant": true,
		"http://dispatcher.internal:8081/grant": true,
		"http://flycd.fly.dev/grant":            false, "http://internal/grant": false, "http://10.0.0.1/grant": false, "http://evil.internal.example/grant": false,
		"http://127.0.0.1.example/grant": false, "ftp://localhost/grant": false, "/grant": false, "": false, "https://user:hush@flycd.fly.dev/grant": false,
	} {
		_, err := launch.Ask(ctx, launch.GrantRequest{URL: url})
		refused := err != nil && strings.Contains(err.Error(), "FLYCD_GRANT_URL")
		if refused == fine || strings.Contains(fmt.Sprint(err), "hush") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestGrantDoesNotFollowElsewhere(t *testing.T) {
	elsewhere, n := answering(t, says(200, `{}`))
	url, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	if _, err := launch.Ask(within(t, 5*time.Second), launch.GrantRequest{URL: url, HTTP: &http.Client{}}); err == nil || n.Load() != 0 {
		t.Errorf("%v, %d requests elsewhere", err, n.Load())
	}
}

func TestGrantDoesNotShowItself(t *testing.T) {
	g := launch.Grant{FlyToken: "fm2_secret", Git: []launch.GitCredential{{Repo: "https://github.com/a/b", Password: "secret"}}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "granted", "grant", g, "git", g.Git[0])
	for _, s := range []string{fmt.Sprint(g), fmt.Sprintf("%v %+v %#v %s", g, g, g, g), fmt.Sprintf("%v %+v %#v", g.Git, g.Git[0], g.Git), log.String()} {
		if strings.Contains(s, "secret") {
			t.Error(s)
		}
	}
}
