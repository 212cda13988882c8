package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

// TestRunnerCanDoNoMoreThanItsJob launches two jobs through the real dispatcher, takes what the runner of one holds, and
// tries with it what a thief would. For each thing that is refused there is one of its sort that is not.
func TestRunnerCanDoNoMoreThanItsJob(t *testing.T) {
	e := newEstate(t)
	held := e.held()
	web, worker := held["web"], held["worker"]
	t.Run("environment", func(t *testing.T) { e.environmentHoldsItsOwn(t, web) })
	t.Run("dispatcher", func(t *testing.T) { e.dispatcherRefuses(t, web, worker) })
	t.Run("queue", func(t *testing.T) { e.queueRefuses(t, web, worker) })
	grant, err := web.grant(t, web.asking(), web.identity(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("fly", func(t *testing.T) { e.flyRefuses(t, grant.FlyToken) })
	t.Run("logs", func(t *testing.T) {
		for _, s := range []string{grant.FlyToken, web["FLYCD_TICKET"], e.mint, strings.TrimPrefix(e.deploy, "FlyV1 "), nextTokenHere, callTokenHere} {
			if strings.Contains(e.log.String(), s) {
				t.Errorf("the dispatcher's log holds %.12s…", s)
			}
		}
	})
	t.Run("deadline", func(t *testing.T) { e.endsAtItsDeadline(t, grant.FlyToken) })
}

// environmentHoldsItsOwn looks for what the dispatcher alone has.
func (e *estate) environmentHoldsItsOwn(t *testing.T, web runnerHeld) {
	t.Helper()
	for what, secret := range map[string]string{
		"the token to mint from": e.mint, "the token that makes runners": strings.TrimPrefix(e.deploy, "FlyV1 "), "the dispatcher's Redis": e.redis[queue.DispatcherRole],
		"the server's own": e.server + "/", "a dispatch token": callTokenHere,
	} {
		for name, value := range web {
			if strings.Contains(value, secret) {
				t.Errorf("%s holds %s", name, what)
			}
		}
	}
	for _, name := range []string{"FLY_API_TOKEN", "FLYCD_MINT_TOKEN", "FLYCD_WEBHOOK_SECRET", "FLYCD_DISPATCH_TOKENS"} {
		if _, ok := web[name]; ok {
			t.Errorf("it holds %s", name)
		}
	}
	if web["REDIS_URL"] != e.redis[queue.RunnerRole] || web["SOPS_AGE_KEY"] != ageKey || web["FLYCD_TICKET"] == "" {
		t.Error("it lacks what a runner needs")
	}
	// what anybody can read who may look at the runner app's machines
	shown := string(e.boss("GET", "/v1/apps/runners/machines", ""))
	for _, secret := range []string{ageKey, nextTokenHere, web["REDIS_URL"], "fm2_"} {
		if strings.Contains(shown, secret) {
			t.Errorf("the machine's config shows %.12s…", secret)
		}
	}
}

// dispatcherRefuses tries the doors of the dispatcher.
func (e *estate) dispatcherRefuses(t *testing.T, web, worker runnerHeld) {
	t.Helper()
	own, theirs := web.asking(), worker.asking()
	another := own
	another.Machine = e.machines["other"]
	next := own
	next.Attempt++
	for what, c := range map[string]struct {
		ask launch.Asking
		who string
	}{
		"another job's grant":                     {launch.Asking{Job: theirs.Job, Attempt: theirs.Attempt, Machine: own.Machine, Ticket: own.Ticket}, web.identity(t)},
		"another job's grant, as its machine":     {launch.Asking{Job: theirs.Job, Attempt: theirs.Attempt, Machine: theirs.Machine, Ticket: own.Ticket}, web.identity(t)},
		"another job's grant, with its ticket":    {theirs, web.identity(t)},
		"another job's grant, by its ticket":      {theirs, ""},
		"its job's grant, for another machine":    {another, web.identity(t)},
		"its job's grant, by its ticket alone":    {own, ""},
		"its job's next attempt":                  {next, web.identity(t)},
		"its job's grant, for the other's signer": {own, worker.identity(t)},
	} {
		if g, err := web.grant(t, c.ask, c.who); !errors.Is(err, launch.ErrRefused) || g.FlyToken != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	body := `{"app":"web"}`
	for what, token := range map[string]string{"the token of /next": nextTokenHere, "its ticket": web["FLYCD_TICKET"], "its identity": web.identity(t)} {
		if status, text := e.ask(token, "POST", e.door+"/dispatch", body); status != http.StatusUnauthorized {
			t.Errorf("a job with %s: %d %s", what, status, text)
		}
		if status, text := e.signed(token, body); status != http.StatusUnauthorized {
			t.Errorf("a webhook signed with %s: %d %s", what, status, text)
		}
		if status, _ := e.ask("", "POST", e.door+"/webhook/registry/"+token, `{"image":"nginx"}`); status != http.StatusUnauthorized {
			t.Errorf("a registry's push with %s: %d", what, status)
		}
	}
	if status, _ := e.ask(nextTokenHere, "GET", e.door+"/metrics", ""); status != http.StatusNotFound {
		t.Errorf("metrics: %d", status)
	}
	// the rightful ones
	if status, text := e.ask(callTokenHere, "POST", e.door+"/dispatch", body); status != http.StatusAccepted {
		t.Errorf("a job with a dispatch token: %d %s", status, text)
	}
	if status, text := e.signed("new", body); status != http.StatusOK {
		t.Errorf("a webhook signed with the secret: %d %s", status, text)
	}
	if g, err := web.grant(t, own, web.identity(t)); err != nil || g.FlyToken == "" {
		t.Errorf("its own grant: %v", err)
	}
	if g, err := web.grant(t, own, web.identity(t)); err != nil || g.FlyToken == "" {
		t.Errorf("its own grant again: %v", err)
	}
}

// signed sends an event that makes no job, signed with a secret.
func (e *estate) signed(secret, body string) (int, string) {
	e.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.door+"/webhook", bytes.NewReader([]byte(body)))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "ping")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Status
}

// queueRefuses tries the Redis that the runner logs in to, by the queue's own moves and by bare commands.
func (e *estate) queueRefuses(t *testing.T, web, worker runnerHeld) {
	t.Helper()
	ctx, q := t.Context(), e.queue(web["REDIS_URL"])
	own, theirs := web.asking(), worker.asking()
	for what, c := range map[string]launch.Asking{
		"another job, as itself":          {Job: theirs.Job, Attempt: theirs.Attempt, Machine: own.Machine},
		"another job, as its machine":     theirs, // it has no grant yet
		"its own job, as another machine": {Job: own.Job, Attempt: own.Attempt, Machine: theirs.Machine},
		"its own job's next attempt":      {Job: own.Job, Attempt: own.Attempt + 1, Machine: own.Machine},
	} {
		if _, err := q.Claim(ctx, c.Job, c.Attempt, c.Machine); !errors.Is(err, queue.ErrRefused) {
			t.Errorf("claim %s: %v", what, err)
		}
	}
	if list, err := q.TakeMany(ctx, 10, 1); err == nil {
		t.Errorf("it takes jobs: %v", list)
	}
	if ok, err := q.AppendLetters(ctx, queue.Feed{Upto: "9-9"}); err == nil {
		t.Errorf("it moves the cursor of what was told: %t", ok)
	}
	if _, _, err := q.TakeLetter(ctx, time.Minute); err == nil {
		t.Error("it takes letters")
	}
	o, err := redis.ParseURL(web["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	bare := redis.NewClient(o)
	defer func() { _ = bare.Close() }()
	for _, line := range []string{
		"FLUSHALL", "CONFIG GET *", "ACL LIST", "ACL SETUSER default nopass", "KEYS *", "SCAN 0", "SCRIPT LOAD x", "SCRIPT FLUSH", "EVAL x 0", "SHUTDOWN NOSAVE",
		"MONITOR", "CLIENT LIST", "GET other", "SET other x", "LRANGE flycd:outbox:ops 0 -1", "DEL flycd:outbox", "GET flycd:delivery:guid",
	} {
		var words []any
		for _, w := range strings.Fields(line) {
			words = append(words, w)
		}
		if err := bare.Do(ctx, words...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%s: %v", line, err)
		}
	}
	// the rightful ones
	c, err := q.Claim(ctx, own.Job, own.Attempt, own.Machine)
	if err != nil {
		t.Fatalf("claim its own job: %v", err)
	}
	if _, err := q.Hold(ctx, c); err != nil {
		t.Errorf("hold its own job: %v", err)
	}
	if _, err := worker.grant(t, theirs, worker.identity(t)); err != nil {
		t.Errorf("the other runner's grant: %v", err)
	}
	if _, err := q.Claim(ctx, theirs.Job, theirs.Attempt, theirs.Machine); err != nil {
		t.Errorf("the other runner's claim: %v", err)
	}
	if list, err := e.queue(e.redis[queue.DispatcherRole]).TakeMany(ctx, 10, 1); err != nil {
		t.Errorf("the dispatcher takes jobs: %v, %v", list, err)
	}
}

// flyRefuses tries Fly with the token that was granted.
func (e *estate) flyRefuses(t *testing.T, token string) {
	t.Helper()
	machine := func(app string) string { return "/v1/apps/" + app + "/machines/" + e.machines[app] }
	made := `{"name":"own","config":{"image":"x:1"}}`
	rest := func(method, path, body string) func(string) int {
		return func(token string) int {
			status, _ := e.ask(token, method, e.fly+path, body)
			return status
		}
	}
	graph := func(query string) func(string) int { return func(token string) int { return e.graph(token, query) } }
	limited := func(profile, params string) func(string) int {
		return graph(`mutation { createLimitedAccessToken(input: {name: "evil", organizationId: "org-acme", profile: "` + profile + `"` + params + `, expiry: "9999h"}) { limitedAccessToken { tokenHeader } } }`)
	}
	for _, c := range []struct {
		what     string
		do       func(string) int
		rightful bool
	}{
		{"look at its app", rest("GET", "/v1/apps/web", ""), true},
		{"make a machine of its app", rest("POST", "/v1/apps/web/machines", made), true},
		{"set its app's secret", rest("POST", "/v1/apps/web/secrets/KEY", `{"value":"w"}`), true},
		{"look at another app", rest("GET", "/v1/apps/other", ""), false},
		{"look at another job's app", rest("GET", "/v1/apps/worker", ""), false},
		{"look at another organisation's", rest("GET", "/v1/apps/far", ""), false},
		{"make a machine of another app", rest("POST", "/v1/apps/other/machines", made), false},
		{"make a machine of another job's app", rest("POST", "/v1/apps/worker/machines", made), false},
		{"make a machine of another organisation's", rest("POST", "/v1/apps/far/machines", made), false},
		{"make a runner", rest("POST", "/v1/apps/runners/machines", made), false},
		{"list the runners", rest("GET", "/v1/apps/runners/machines", ""), false},
		{"read the runners' secrets", rest("GET", "/v1/apps/runners/secrets?show_secrets=true", ""), false},
		{"set a secret of the runners", rest("POST", "/v1/apps/runners/secrets/REDIS_URL", `{"value":"w"}`), false},
		{"read the dispatcher's secrets", rest("GET", "/v1/apps/dispatcher/secrets?show_secrets=true", ""), false},
		{"run a command in the dispatcher", rest("POST", machine("dispatcher")+"/exec", `{"cmd":"env"}`), false},
		{"change the dispatcher", rest("POST", machine("dispatcher"), `{"config":{"image":"evil:1"}}`), false},
		{"lease another app's machine", rest("POST", machine("other")+"/lease", `{"ttl":60}`), false},
		{"give another app's lease back", rest("DELETE", machine("other")+"/lease", ""), false},
		{"destroy another app", rest("DELETE", "/v1/apps/other", ""), false},
		{"make an app", rest("POST", "/v1/apps", `{"app_name":"evil","name":"evil","org_slug":"acme"}`), false},
		{"make a token of the runner app", rest("POST", "/v1/apps/runners/deploy_token", `{"expiry":"9999h"}`), false},
		{"make a token of its app that lasts", limited("deploy", `, profileParams: {app_id: "web"}`), false},
		{"make a token of the organisation", limited("deploy_organization", ""), false},
		{"read the queue's password", graph(`{ addOn(name: "queue", provider: "upstash_redis") { publicUrl } }`), false},
		{"make an add-on", graph(`mutation { createAddOn(input: {organizationId: "org-acme", type: upstash_redis, primaryRegion: "ams"}) { addOn { id } } }`), false},
	} {
		if got := c.do(token); (got < 300) != c.rightful || !c.rightful && got != http.StatusForbidden {
			t.Errorf("%s: %d", c.what, got)
		}
		if c.rightful || strings.HasPrefix(c.what, "destroy") {
			continue
		}
		// the organisation's own token may: what is refused is refused for want of rights alone
		if got := c.do(theBoss); got == http.StatusForbidden || got == http.StatusUnauthorized {
			t.Errorf("%s, as who may: %d", c.what, got)
		}
	}
	wide, err := launch.Narrow(token, launch.Scope{
		Apps: map[uint64]launch.Access{0: launch.All}, Features: map[string]launch.Access{launch.FeatureAddons: launch.All}, AnyMutation: true, Until: time.Now().Add(9999 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rest("GET", "/v1/apps/other", "")(wide); got != http.StatusForbidden {
		t.Errorf("another app with a token that was made wider: %d", got)
	}
}

// endsAtItsDeadline lets time go by.
func (e *estate) endsAtItsDeadline(t *testing.T, token string) {
	t.Helper()
	if status, text := e.ask(token, "GET", e.fly+"/v1/apps/web", ""); status != http.StatusOK {
		t.Errorf("before: %d %s", status, text)
	}
	e.sim.Advance(2 * time.Hour)
	for _, path := range []string{"/v1/apps/web", "/v1/apps/web/machines"} {
		if status, _ := e.ask(token, "GET", e.fly+path, ""); status != http.StatusUnauthorized {
			t.Errorf("%s after the deadline: %d", path, status)
		}
	}
	if status, _ := e.ask(token, "POST", e.fly+"/v1/apps/web/machines", `{"config":{"image":"x:1"}}`); status != http.StatusUnauthorized {
		t.Errorf("a machine after the deadline: %d", status)
	}
}

// TestTicketEndsWithItsAttempt gives an attempt up: neither ticket nor identity of its machine opens anything then.
func TestTicketEndsWithItsAttempt(t *testing.T) {
	e := newEstate(t)
	web := e.held()["web"]
	if _, err := web.grant(t, web.asking(), web.identity(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.queue(e.server).Lapse(t.Context(), job.ID(web["FLYCD_JOB"]), 1, "a test"); err != nil {
		t.Fatal(err)
	}
	if g, err := web.grant(t, web.asking(), web.identity(t)); !errors.Is(err, launch.ErrRefused) || g.FlyToken != "" {
		t.Errorf("got %v, %v", g, err)
	}
}
