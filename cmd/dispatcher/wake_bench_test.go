package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkWake is what a push waits for that comes to Fly's proxy while the dispatcher is stopped, as autostop leaves it: the proxy
// of a simulated Fly starts the machine's process, connects as soon as its port answers, and hands the 202 on. What Fly itself
// needs to start a machine is left out. Redis runs and knows the scripts; the binary is in the page cache.
func BenchmarkWake(b *testing.B) {
	w := newWorld(b, buildFor(b, "."))
	w.occupy()
	w.catalog(10)
	id := w.install()
	addr, err := w.sim.ListenProxy("127.0.0.1:0", "dispatcher")
	if err != nil {
		b.Fatal(err)
	}
	addr = strings.TrimPrefix(addr, "http://")
	requests := w.requests(b.N+1, 10)
	var took, awake []time.Duration
	for i := range b.N + 1 {
		w.rest(id)
		began := time.Now()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		if err := roundTrip(conn, requests[i], make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		woken := time.Since(began)
		began = time.Now()
		if err := exchange(conn, []byte("GET /healthz HTTP/1.1\r\nHost: dispatcher.fly.dev\r\n\r\n"), make([]byte, 4096), "200"); err != nil {
			b.Fatal(err)
		}
		// the first one teaches Redis the scripts
		if i > 0 {
			took, awake = append(took, woken), append(awake, time.Since(began))
		}
		_ = conn.Close()
	}
	slices.Sort(took)
	slices.Sort(awake)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(quantile(took, 0.5)), "p50-ms")
	b.ReportMetric(milliseconds(quantile(took, 0.99)), "p99-ms")
	b.ReportMetric(milliseconds(quantile(awake, 0.5)), "awake-ms")
}

// install makes the dispatcher a machine of the simulated Fly, with a public address.
func (w *world) install() (id string) {
	w.b.Helper()
	w.post("/v1/apps", `{"app_name":"dispatcher","name":"dispatcher","org_slug":"personal"}`)
	w.post("/v1/apps/dispatcher/ip_assignments", `{"type":"shared_v4"}`)
	config, err := json.Marshal(map[string]any{
		"image": "dispatcher:1", "services": []any{map[string]any{
			"protocol": "tcp", "internal_port": 8080, "autostop": "stop", "autostart": true, "ports": []any{map[string]any{"port": 443, "handlers": []string{"tls", "http"}}},
		}},
		"env": map[string]string{
			"FLYCD_WEBHOOK_SECRET": benchSecret, "REDIS_URL": w.redis, "FLY_API_TOKEN": w.token, "FLY_FLAPS_BASE_URL": w.fly,
			"FLYCD_RUNNER_APP": "runners", "FLYCD_RUNNER_IMAGE": "runner:1", "FLYCD_MAX_RUNNERS": "1",
		},
	})
	if err != nil {
		w.b.Fatal(err)
	}
	w.post("/v1/apps/dispatcher/machines", fmt.Sprintf(`{"region":"ams","config":%s}`, config))
	for _, a := range w.sim.State().Apps {
		if a.Name == "dispatcher" {
			return a.Machines[0].ID
		}
	}
	w.b.Fatal("there is no machine")
	return ""
}

// rest stops the machine.
func (w *world) rest(id string) {
	w.b.Helper()
	wait := func(state string) {
		req, err := http.NewRequestWithContext(w.b.Context(), http.MethodGet, w.fly+"/v1/apps/dispatcher/machines/"+id+"/wait?timeout=10&state="+state, nil)
		if err != nil {
			w.b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.token)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			w.b.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			w.b.Fatalf("it is not %s: %s %s", state, answer.Status, text)
		}
	}
	wait("started")
	w.post("/v1/apps/dispatcher/machines/"+id+"/stop", "{}")
	wait("stopped")
}
