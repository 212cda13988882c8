//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// simulated is a running flycd sim with all that it can serve.
type simulated struct {
	t                 *testing.T
	p                 *process
	fly, proxy, forge string
}

func newSimulated(t *testing.T, args ...string) *simulated {
	t.Helper()
	s := &simulated{t: t, p: start(t, nil, append([]string{"sim", "--listen", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--forge", "127.0.0.1:0"}, args...)...)}
	s.fly = s.p.after("a simulated Fly answers at ")
	s.proxy = s.p.after("its apps can be reached at ")
	s.forge = s.p.after("a simulated forge answers at ")
	return s
}

// ask sends JSON and gives the answer.
func (s *simulated) ask(method, url, body string, headers ...string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode > 299 {
		s.t.Fatalf("%s %s: %s %s %v", method, url, answer.Status, text, err)
	}
	return string(text)
}

// proxied is what the proxy did for the only app.
func (s *simulated) proxied() (starts, stops int) {
	s.t.Helper()
	var state struct {
		Apps []struct {
			Proxy struct{ Starts, Stops int }
		}
	}
	if err := json.Unmarshal([]byte(s.ask(http.MethodGet, s.fly+"/_sim/state", "")), &state); err != nil || len(state.Apps) != 1 {
		s.t.Fatal(state, err)
	}
	return state.Apps[0].Proxy.Starts, state.Apps[0].Proxy.Stops
}

// A forge, Fly and its proxy as separate processes have them: a webhook to the app's public address wakes it.
func TestSimulatedForgeWakesASimulatedApp(t *testing.T) {
	t.Parallel()
	flycd, err := exec.LookPath("flycd")
	if err != nil {
		t.Fatal(err)
	}
	redis := queuetest.Embedded(t)
	s := newSimulated(t, "--exec", "hello="+flycd+" hello", "--idle", "200ms", "--redis", redis, "--forge-token", "forge-token=alice")
	s.ask(http.MethodPost, s.fly+"/v1/apps", `{"app_name":"hello","name":"hello","org_slug":"personal"}`)
	s.ask(http.MethodPost, s.fly+"/v1/apps/hello/ip_assignments", `{"type":"shared_v4"}`)
	s.ask(http.MethodPost, s.fly+"/v1/apps/hello/machines", `{"region":"ams","config":{"image":"hello:1","env":{"GREETING":"hej"},"services":[
		{"protocol":"tcp","internal_port":8080,"autostop":"stop","autostart":true,"ports":[{"port":443,"handlers":["tls","http"]}]}]}}`)
	if got := s.ask(http.MethodGet, s.proxy, "", "Host", "hello.fly.dev"); got != "hej\n" {
		t.Errorf("the app says %q", got)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, stops := s.proxied(); stops > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not fall asleep")
		}
	}

	s.ask(http.MethodPut, s.forge+"/_sim/repos", `{"repo":"acme/config","members":{"alice":"admin"}}`)
	text := s.ask(http.MethodPost, s.forge+"/api/v3/repos/acme/config/hooks", `{"name":"web","active":true,"events":["push"],"config":{"url":"https://hello.fly.dev/webhook","content_type":"json","secret":"s"}}`,
		"Authorization", "Bearer forge-token")
	var hook struct{ ID int }
	if err := json.Unmarshal([]byte(text), &hook); err != nil {
		t.Fatal(err)
	}
	s.ask(http.MethodPost, s.forge+"/_sim/wait", "{}")
	delivered := s.ask(http.MethodGet, fmt.Sprintf("%s/api/v3/repos/acme/config/hooks/%d/deliveries", s.forge, hook.ID), "", "Authorization", "Bearer forge-token")
	if !strings.Contains(delivered, `"event":"ping"`) || !strings.Contains(delivered, `"status_code":200`) {
		t.Errorf("deliveries: %s", delivered)
	}
	if starts, _ := s.proxied(); starts != 1 {
		t.Errorf("%d starts, want 1", starts)
	}

	made := s.ask(http.MethodPost, s.fly+"/graphql", `{"query":"mutation { createAddOn(input: {type: upstash_redis, name: \"queue\", organizationId: \"org-personal\"}) { addOn { publicUrl } } }"}`)
	if !strings.Contains(made, redis) {
		t.Errorf("the Redis is %s, want %s", made, redis)
	}
	s.p.interrupt()
}
