package dispatcher_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
)

// TestLaunchedMachineIsGrantedItsJobAlone is the main way, by ticket.
func TestLaunchedMachineIsGrantedItsJobAlone(t *testing.T) {
	h := open(t, granting(t))
	m := h.launched("web", "worker")
	g, got := h.grant(m["web"].asking(), "")
	if got.status != http.StatusOK || g.FlyToken == "" || time.Until(g.Expires) > 2*time.Hour || time.Until(g.Expires) <= 0 {
		t.Fatalf("got %d, %v", got.status, g)
	}
	// the app was not there: it was created, as only what is there can be narrowed to
	if own, other := h.may(g.FlyToken, "/v1/apps/web"), h.may(g.FlyToken, "/v1/apps/runners"); own != 200 || other != 403 {
		t.Errorf("its app answers %d, the runners' %d", own, other)
	}
	again, got := h.grant(m["web"].asking(), "")
	if got.status != http.StatusOK || again.FlyToken == "" {
		t.Errorf("asked again: %d %s", got.status, got.text)
	}
	if _, err := h.q.Claim(t.Context(), m["web"].asking().Job, 1, m["web"].ID); err != nil {
		t.Errorf("the granted machine claims: %v", err)
	}
	if _, err := h.q.Claim(t.Context(), m["worker"].asking().Job, 1, m["worker"].ID); err == nil {
		t.Error("a machine that was not granted claims a sealed job")
	}
	if strings.Contains(h.logs.String(), g.FlyToken) || strings.Contains(h.logs.String(), m["web"].asking().Ticket) {
		t.Error("the log holds the grant or the ticket")
	}
}

// TestWhoIsNotTheMachineIsNotGranted tries tickets that are not the asker's.
func TestWhoIsNotTheMachineIsNotGranted(t *testing.T) {
	h := open(t, granting(t))
	m := h.launched("web", "worker")
	own := m["web"].asking()
	change := func(f func(*launch.Asking)) launch.Asking {
		a := own
		f(&a)
		return a
	}
	until := time.Now().Add(time.Hour)
	key := launch.TicketKey(h.maker.Mint)
	unknown := job.SaltedID(job.Deploy, "web", "unknown")
	for name, c := range map[string]struct {
		ask    launch.Asking
		status int
	}{
		"no ticket":                    {change(func(a *launch.Asking) { a.Ticket = "" }), 401},
		"a forged ticket":              {change(func(a *launch.Asking) { a.Ticket = launch.Ticket([]byte("x"), a.Job, a.Attempt, until) }), 401},
		"a later end":                  {change(func(a *launch.Asking) { _, sum, _ := strings.Cut(a.Ticket, "."); a.Ticket = "9999999999." + sum }), 401},
		"an expired ticket":            {change(func(a *launch.Asking) { a.Ticket = launch.Ticket(key, a.Job, a.Attempt, time.Now().Add(-time.Second)) }), 401},
		"another job's ticket":         {change(func(a *launch.Asking) { a.Ticket = m["worker"].asking().Ticket }), 401},
		"another job":                  {change(func(a *launch.Asking) { a.Job = m["worker"].asking().Job }), 401},
		"another attempt":              {change(func(a *launch.Asking) { a.Attempt = 2 }), 401},
		"an attempt that is not":       {change(func(a *launch.Asking) { a.Attempt = 2; a.Ticket = launch.Ticket(key, a.Job, 2, until) }), 409},
		"a job that is not":            {launch.Asking{Job: unknown, Attempt: 1, Machine: "m", Ticket: launch.Ticket(key, unknown, 1, until)}, 409},
		"no attempt":                   {change(func(a *launch.Asking) { a.Attempt = 0 }), 400},
		"no machine":                   {change(func(a *launch.Asking) { a.Machine = "" }), 400},
		"no job":                       {change(func(a *launch.Asking) { a.Job = "" }), 400},
		"a job that is a key of Redis": {change(func(a *launch.Asking) { a.Job = "../app:web\n*" }), 401},
	} {
		if g, got := h.grant(c.ask, ""); got.status != c.status || g.FlyToken != "" || strings.Contains(got.text, "fm2_") {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.text, c.status)
		}
	}
	// none of that has taken anything from the machine
	if _, got := h.grant(own, ""); got.status != http.StatusOK {
		t.Errorf("the machine itself: %d %s", got.status, got.text)
	}
	// and now that it has its grant, who has read its ticket comes too late
	if _, got := h.grant(change(func(a *launch.Asking) { a.Machine = "thief" }), ""); got.status != http.StatusConflict {
		t.Errorf("a second machine: %d %s", got.status, got.text)
	}
}

// TestFirstWhoAsksIsTheOnlyOne holds that a stolen ticket is noticed: the machine is refused, and no job runs twice.
func TestFirstWhoAsksIsTheOnlyOne(t *testing.T) {
	h := open(t, granting(t))
	own := h.launched("web")["web"].asking()
	thief := own
	thief.Machine = "thief"
	if _, got := h.grant(thief, ""); got.status != http.StatusOK {
		t.Fatalf("the first: %d %s", got.status, got.text)
	}
	if _, got := h.grant(own, ""); got.status != http.StatusConflict || !strings.Contains(got.text, "another machine") {
		t.Errorf("the second: %d %s", got.status, got.text)
	}
	if _, err := h.q.Claim(t.Context(), own.Job, 1, own.Machine); err == nil {
		t.Error("the second claims it")
	}
}

// TestGrantEndsWithItsAttempt asks after the job has ended, and after the attempt was given up.
func TestGrantEndsWithItsAttempt(t *testing.T) {
	h := open(t, granting(t))
	m := h.launched("web", "worker")
	for _, app := range []string{"web", "worker"} {
		if _, got := h.grant(m[app].asking(), ""); got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", app, got.status, got.text)
		}
	}
	c, err := h.q.Claim(t.Context(), m["web"].asking().Job, 1, m["web"].ID)
	if err == nil {
		err = h.q.Finish(t.Context(), c, job.Result{Outcome: job.Updated})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.q.Lapse(t.Context(), m["worker"].asking().Job, 1, "a test"); err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"web", "worker"} {
		if g, got := h.grant(m[app].asking(), ""); got.status != http.StatusConflict || g.FlyToken != "" {
			t.Errorf("%s: %d %s", app, got.status, got.text)
		}
	}
}

// TestWhereFlyIsAskedATicketIsNotEnough proves machines by the simulated Fly's signature.
func TestWhereFlyIsAskedATicketIsNotEnough(t *testing.T) {
	h := open(t, granting(t))
	byFly(h)
	m := h.launched("web", "worker")
	h.sim(http.MethodPost, "/v1/apps", `{"app_name":"evil","name":"evil","org_slug":"personal"}`)
	var evil runnerMachine
	if err := json.Unmarshal(h.sim(http.MethodPost, "/v1/apps/evil/machines", `{"name":"`+m["web"].Name+`","config":{"image":"x:1"}}`), &evil); err != nil {
		t.Fatal(err)
	}
	token := func(app, id, audience string) string {
		text, err := h.cloud.MachineToken(app, id, audience)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	own := m["web"].asking()
	asEvil := own
	asEvil.Machine = evil.ID
	good := token("runners", m["web"].ID, "flycd")
	head, rest, _ := strings.Cut(good, ".")
	for name, c := range map[string]struct {
		ask    launch.Asking
		bearer string
	}{
		"the ticket alone":               {own, ""},
		"no token":                       {own, "x"},
		"another audience":               {own, token("runners", m["web"].ID, "somebody")},
		"another job's machine":          {own, token("runners", m["worker"].ID, "flycd")},
		"another app's machine":          {own, token("evil", evil.ID, "flycd")},
		"another app's machine, as such": {asEvil, token("evil", evil.ID, "flycd")},
		"its job, as another machine":    {asEvil, good},
		"another job of it":              {m["worker"].asking(), good},
		"a changed token":                {own, head + ".e30" + rest[strings.LastIndex(rest, "."):]},
		"an unsigned token":              {own, head + "." + strings.TrimRight(rest[:strings.LastIndex(rest, ".")+1], "")},
	} {
		if g, got := h.grant(c.ask, c.bearer); got.status != http.StatusUnauthorized || g.FlyToken != "" {
			t.Errorf("%s: %d %s\n%s", name, got.status, got.text, h.logs)
		}
	}
	own.Ticket = ""
	if g, got := h.grant(own, good); got.status != http.StatusOK || g.FlyToken == "" {
		t.Errorf("the machine itself: %d %s", got.status, got.text)
	}
}

// TestIssuerThatIsDownIsNoRefusal holds that a runner asks again then, and that no address is told to strangers.
func TestIssuerThatIsDownIsNoRefusal(t *testing.T) {
	h := open(t, granting(t))
	m := h.launched("web")
	good, err := h.cloud.MachineToken("runners", m["web"].ID, "flycd")
	if err != nil {
		t.Fatal(err)
	}
	h.d.Grants.Machines = &identity.Verifier{Issuer: h.cloud.OIDCIssuer("personal"), Audience: "flycd", HTTP: &http.Client{Transport: broken{}}}
	if _, got := h.grant(m["web"].asking(), good); got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

// broken is a network that is down.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed }

// TestRejectedGrantSaysWhy holds that the runner is told what no attempt can cure, so that it can record it.
func TestRejectedGrantSaysWhy(t *testing.T) {
	h := open(t, granting(t))
	h.cloud.Foreign("taken")
	m := h.launched("taken", "runners", "web")
	for app, want := range map[string]string{"taken": "somebody else", "runners": "FlyCD's own"} {
		_, got := h.grant(m[app].asking(), "")
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, want) {
			t.Errorf("%s: %d %s", app, got.status, got.text)
		}
		// the machine is bound to it all the same: it claims the job and says how it ended
		if _, err := h.q.Claim(t.Context(), m[app].asking().Job, 1, m[app].ID); err != nil {
			t.Errorf("%s: %v", app, err)
		}
	}
	h.entries() // no tree names it any more
	if _, got := h.grant(m["web"].asking(), ""); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, "no config tree names the app") {
		t.Errorf("an app that is gone: %d %s", got.status, got.text)
	}
}

func TestFlyThatIsDownGrantsLater(t *testing.T) {
	h := open(t, granting(t))
	own := h.launched("web")["web"].asking()
	h.sim(http.MethodPut, "/_sim/faults", `[{"match":{"path":"/v1/apps/web"},"do":{"status":500}},{"match":{"method":"POST","path":"/v1/apps"},"do":{"status":500}}]`)
	h.d.Grants.Fly = impatient{h.maker}
	_, got := h.grant(own, "")
	if got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") {
		t.Errorf("got %d %s", got.status, got.text)
	}
	h.sim(http.MethodPut, "/_sim/faults", `[]`)
	if _, got := h.grant(own, ""); got.status != http.StatusOK {
		t.Errorf("then: %d %s", got.status, got.text)
	}
}

func TestAskingsThatAreNoneAreRefused(t *testing.T) {
	h := open(t, granting(t))
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "hello", "a list": "[]", "null": "null", "an empty object": "{}", "a text": `"x"`,
		"a text as attempt": `{"job":"x","attempt":"1","machine":"m"}`, "too much": `{"job":"` + strings.Repeat("x", 70_000) + `"}`,
	} {
		if got := h.post("/grant", "", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	none := open(t)
	if got := none.post("/grant", "", `{}`); got.status != http.StatusNotFound || !strings.Contains(got.text, "FLYCD_MINT_TOKEN") {
		t.Errorf("a dispatcher that grants nothing: %d %s", got.status, got.text)
	}
	if bytes.Contains(none.logs.Bytes(), []byte("panicked")) {
		t.Error(none.logs)
	}
}

// TestClaimedMachineIsGrantedAgain is a runner that lost the answer after it had claimed.
func TestClaimedMachineIsGrantedAgain(t *testing.T) {
	h := open(t, granting(t))
	m := h.launched("web")["web"]
	if _, got := h.grant(m.asking(), ""); got.status != http.StatusOK {
		t.Fatal(got.text)
	}
	if _, err := h.q.Claim(t.Context(), m.asking().Job, 1, m.ID); err != nil {
		t.Fatal(err)
	}
	if _, got := h.grant(m.asking(), ""); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.text)
	}
	if r := h.job(m.asking().Job); r.State != queue.Claimed {
		t.Errorf("it is %s", r.State)
	}
}
