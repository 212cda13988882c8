package dispatcher_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gigurra/flycd/dispatcher"
	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
)

// granting lets a house make grants from a macaroon of the simulated Fly.
func granting(t *testing.T) settings {
	t.Helper()
	return func(h *house) {
		mint, err := h.cloud.Mint("personal")
		if err != nil {
			t.Fatal(err)
		}
		h.maker.Mint, h.maker.GrantURL = mint, "https://dispatcher.example/grant"
		h.d.Grants = &dispatcher.Grants{Fly: h.maker, TicketKey: launch.TicketKey(mint), RunnerApp: "runners"}
	}
}

// byFly has machines prove themselves by Fly's word.
func byFly(h *house) {
	h.d.Grants.Machines = &identity.Verifier{Issuer: h.cloud.OIDCIssuer("personal"), Audience: "flycd"}
}

// runner is a launched machine, and what is in its environment.
type runnerMachine struct {
	ID, Name string
	Config   struct{ Env map[string]string }
}

func (r runnerMachine) asking() launch.Asking {
	attempt, _ := strconv.Atoi(r.Config.Env["FLYCD_ATTEMPT"])
	return launch.Asking{Job: job.ID(r.Config.Env["FLYCD_JOB"]), Attempt: attempt, Machine: r.ID, Ticket: r.Config.Env["FLYCD_TICKET"]}
}

// launched deploys the apps and gives their machines by app.
func (h *house) launched(apps ...string) map[string]runnerMachine {
	h.t.Helper()
	h.q.Seal = true
	var entries []catalog.Entry
	for _, app := range apps {
		entries = append(entries, catalog.Entry{App: app, Org: "personal", Dir: app, Auto: true, Source: catalog.Source{Repo: hello}})
	}
	h.entries(entries...)
	got := h.push("guid", payload(h.t, "push.branch.json"))
	if got.status != http.StatusAccepted {
		h.t.Fatalf("got %d %s", got.status, got.text)
	}
	return h.runners()
}

func (h *house) runners() map[string]runnerMachine {
	h.t.Helper()
	var all []runnerMachine
	if err := json.Unmarshal(h.sim(http.MethodGet, listOf, ""), &all); err != nil {
		h.t.Fatal(err)
	}
	out := map[string]runnerMachine{}
	for _, m := range all {
		r := h.job(job.ID(m.Config.Env["FLYCD_JOB"]))
		out[r.Job.App] = m
	}
	return out
}

// grant asks for a grant; the text tells what was answered.
func (h *house) grant(a launch.Asking, bearer string) (launch.Grant, reply) {
	h.t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		h.t.Fatal(err)
	}
	got := h.post("/grant", bearer, string(body))
	var g launch.Grant
	if got.status == http.StatusOK {
		if err := json.Unmarshal([]byte(got.text), &g); err != nil {
			h.t.Error(err)
		}
	}
	return g, got
}

// post sends JSON to the public door.
func (h *house) post(path, bearer, body string) reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.door.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return h.send(req)
}

// may is what Fly answers when somebody asks for an app with a token.
func (h *house) may(token, path string) int {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.fly.URL+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
