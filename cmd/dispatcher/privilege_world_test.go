package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

const (
	theBoss       = "boss-of-the-organisation"
	helloRepo     = "https://github.com/Codertocat/Hello-World.git"
	ageKey        = "AGE-SECRET-KEY-OF-A-TEST"
	nextTokenHere = "next-token-of-a-test"
	callTokenHere = "dispatch-token-of-thirty-two-characters"
)

// estate is an organisation with FlyCD in it as it is installed: a dispatcher that serves, runners that it launches,
// a Redis with a user for each role, and what a thief might want.
type estate struct {
	t    *testing.T
	sim  *flysim.Server
	fly  string
	door string
	dir  string
	// redis are the URLs of the roles; server is the administrator's.
	redis  map[string]string
	server string
	// machines by app, beside the runners.
	machines map[string]string
	// mint, deploy are what the dispatcher holds.
	mint, deploy string
	log          *syncBuffer
}

// runnerHeld is what a runner of a job holds: its environment.
type runnerHeld map[string]string

func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{t: t, dir: t.TempDir(), machines: map[string]string{}, redis: map[string]string{}, log: &syncBuffer{}}
	e.server = queuetest.Redis(t)
	for _, role := range []string{queue.DispatcherRole, queue.RunnerRole} {
		e.redis[role] = e.user(role)
	}
	// each runner says what it holds, and waits
	script := `env > "$HELD/$FLYCD_JOB.part"; mv "$HELD/$FLYCD_JOB.part" "$HELD/$FLYCD_JOB"; exec sleep 600`
	e.sim = flysim.New(flysim.Options{Tokens: []string{theBoss}, Exec: map[string][]string{"runner": {"/bin/sh", "-c", script}}, Grace: 100 * time.Millisecond})
	t.Cleanup(func() { _ = e.sim.Close() })
	base, err := e.sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.fly = base
	for app, org := range map[string]string{"runners": "acme", "dispatcher": "acme", "other": "acme", "far": "elsewhere"} {
		e.boss("POST", "/v1/apps", `{"app_name":"`+app+`","name":"`+app+`","org_slug":"`+org+`"}`)
		if app == "runners" {
			continue
		}
		var m struct{ ID string }
		if err := json.Unmarshal(e.boss("POST", "/v1/apps/"+app+"/machines", `{"name":"m1","config":{"image":"x:1"}}`), &m); err != nil {
			t.Fatal(err)
		}
		e.machines[app] = m.ID
		e.boss("POST", "/v1/apps/"+app+"/secrets/KEY", `{"value":"v"}`)
	}
	for name, value := range map[string]string{"REDIS_URL": e.redis[queue.RunnerRole], "FLYCD_NEXT_TOKEN": nextTokenHere, "SOPS_AGE_KEY": ageKey, "HELD": e.dir} {
		text, err := json.Marshal(map[string]string{"value": value})
		if err != nil {
			t.Fatal(err)
		}
		e.boss("POST", "/v1/apps/runners/secrets/"+name, string(text))
	}
	e.graph(theBoss, `mutation { createAddOn(input: {organizationId: "org-acme", name: "queue", type: upstash_redis, primaryRegion: "ams"}) { addOn { id } } }`)
	var token struct{ Token string }
	if err := json.Unmarshal(e.boss("POST", "/v1/apps/runners/deploy_token", `{"expiry":"8760h"}`), &token); err != nil {
		t.Fatal(err)
	}
	e.deploy = token.Token
	if e.mint, err = e.sim.Mint("acme"); err != nil {
		t.Fatal(err)
	}
	e.catalog("web", "worker")
	e.serve()
	return e
}

// user makes the user of a role on the server, and gives the URL that it logs in with.
func (e *estate) user(role string) string {
	e.t.Helper()
	password := rand.Text()
	args, err := queue.ACL(queue.DefaultPrefix, role, password)
	if err != nil {
		e.t.Fatal(err)
	}
	o, err := redis.ParseURL(e.server)
	if err != nil {
		e.t.Fatal(err)
	}
	admin := redis.NewClient(o)
	defer func() { _ = admin.Close() }()
	line := []any{"ACL"}
	for _, a := range args {
		line = append(line, a)
	}
	if err := admin.Do(e.t.Context(), line...).Err(); err != nil {
		e.t.Fatal(err)
	}
	u, err := url.Parse(e.server)
	if err != nil {
		e.t.Fatal(err)
	}
	u.User = url.UserPassword(queue.UserName(role), password)
	return u.String()
}

func (e *estate) queue(url string) *queue.Queue {
	e.t.Helper()
	q, err := queue.Open(url, "")
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = q.Close() })
	return q
}

// catalog is one tree of apps that follow one repository.
func (e *estate) catalog(apps ...string) {
	e.t.Helper()
	ctx, q, tree := e.t.Context(), e.queue(e.server), job.Config{Repo: "https://github.com/me/config"}
	var entries []catalog.Entry
	for _, app := range apps {
		entries = append(entries, catalog.Entry{App: app, Org: "acme", Dir: app, Auto: true, Config: tree, Source: catalog.Source{Repo: helloRepo}})
	}
	gen, err := q.BeginGeneration(ctx, tree)
	if err == nil {
		_, err = q.WriteEntries(ctx, tree, gen, entries)
	}
	if err == nil {
		_, err = q.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen, Order: job.Order{Time: 1}})
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// serve runs the dispatcher until the test ends.
func (e *estate) serve() {
	e.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	e.door = "http://127.0.0.1:" + port
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, nil, environment{out: io.Discard, err: e.log, vars: []string{
			"FLYCD_WEBHOOK_SECRET=new", "REDIS_URL=" + e.redis[queue.DispatcherRole], "FLY_API_TOKEN=" + e.deploy, "FLY_FLAPS_BASE_URL=" + e.fly, "FLYCD_RUNNER_APP=runners",
			"FLYCD_RUNNER_IMAGE=runner:1", "PORT=" + port, "FLYCD_NEXT_TOKEN=" + nextTokenHere, "FLYCD_NEXT_URL=" + e.door + "/next", "FLYCD_MINT_TOKEN=" + e.mint,
			"FLYCD_FLY_ISSUER=" + e.sim.OIDCIssuer("acme"), "FLYCD_DISPATCH_TOKENS=" + callTokenHere, "FLY_APP_NAME=dispatcher",
		}})
	}()
	e.t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitOK {
			e.t.Errorf("the dispatcher ended with %d\n%s", code, e.log)
		}
	})
	for range 200 {
		resp, err := http.Get(e.door + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	e.t.Fatalf("the dispatcher does not serve\n%s", e.log)
}

// held launches the apps' jobs by a push and waits until their runners have said what they hold.
func (e *estate) held() map[string]runnerHeld {
	e.t.Helper()
	said := pushTo(e.door)
	status, text, _ := strings.Cut(said, " ")
	var answer queue.Answer
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&answer); err != nil || status != "202" {
		e.t.Fatalf("answered %s\n%s", said, e.log)
	}
	out := map[string]runnerHeld{}
	for _, j := range answer.Jobs {
		var text []byte
		for range 500 {
			if text, _ = os.ReadFile(filepath.Join(e.dir, string(j.ID))); len(text) > 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		vars := runnerHeld{}
		for line := range strings.SplitSeq(string(text), "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				vars[name] = value
			}
		}
		if vars["FLYCD_JOB"] != string(j.ID) {
			e.t.Fatalf("the runner of %s says nothing\n%s", j.App, e.log)
		}
		out[j.App] = vars
	}
	return out
}

// asking is what the machine says of itself.
func (r runnerHeld) asking() launch.Asking {
	attempt, _ := strconv.Atoi(r["FLYCD_ATTEMPT"])
	return launch.Asking{Job: job.ID(r["FLYCD_JOB"]), Attempt: attempt, Machine: r["FLY_MACHINE_ID"], Ticket: r["FLYCD_TICKET"]}
}

// identity is what Fly says of the machine.
func (r runnerHeld) identity(t *testing.T) string {
	t.Helper()
	token, err := identity.MachineToken(t.Context(), r["FLYCD_FLY_SOCKET"], "flycd")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// grant asks for a grant as cmd/runner does.
func (r runnerHeld) grant(t *testing.T, a launch.Asking, who string) (launch.Grant, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return launch.Ask(ctx, launch.GrantRequest{Asking: a, URL: r["FLYCD_GRANT_URL"], Identity: who})
}

// ask sends a request with a bearer token, and gives the status and the text.
func (e *estate) ask(token, method, address, body string) (int, string) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+strings.TrimPrefix(token, "FlyV1 "))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (e *estate) boss(method, path, body string) []byte {
	e.t.Helper()
	status, text := e.ask(theBoss, method, e.fly+path, body)
	if status > 299 {
		e.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return []byte(text)
}

// graph asks GraphQL, and gives 403 where it answers with errors.
func (e *estate) graph(token, query string) int {
	e.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		e.t.Fatal(err)
	}
	status, text := e.ask(token, "POST", e.fly+"/graphql", string(body))
	if status == http.StatusOK && strings.Contains(text, `"errors"`) {
		return http.StatusForbidden
	}
	return status
}

// syncBuffer is a log that is written and read at once.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
