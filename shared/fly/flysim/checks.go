package flysim

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	flygo "github.com/superfly/fly-go"
)

// probing is one check of a machine: what to ask, where, how often.
type probing struct {
	name, kind, method, path, scheme string
	port                             int
	timeout, interval                time.Duration
	headers                          []flygo.MachineHTTPHeader
}

// probings are the checks of a machine's config, top-level ones first, named as the API names them.
func (m *machine) probings() []probing {
	var all []probing
	for _, name := range slices.Sorted(maps.Keys(m.spec.Checks)) {
		c := m.spec.Checks[name]
		all = append(all, probing{
			name: name, kind: value(c.Type, "tcp"), method: value(c.HTTPMethod, "GET"), path: value(c.HTTPPath, "/"),
			scheme: value(c.HTTPProtocol, "http"), port: value(c.Port, 0), timeout: duration(c.Timeout, 2*time.Second),
			interval: duration(c.Interval, 15*time.Second), headers: c.HTTPHeaders,
		})
	}
	n := 0
	for _, svc := range m.spec.Services {
		for _, c := range svc.Checks {
			kind, port := value(c.Type, "tcp"), value(c.Port, svc.InternalPort)
			all = append(all, probing{
				name: fmt.Sprintf("servicecheck-%02d-%s-%d", n, kind, port), kind: kind, method: value(c.HTTPMethod, "GET"),
				path: value(c.HTTPPath, "/"), scheme: value(c.HTTPProtocol, "http"), port: port,
				timeout: duration(c.Timeout, 2*time.Second), interval: duration(c.Interval, 15*time.Second), headers: c.HTTPHeaders,
			})
			n++
		}
	}
	return all
}

func value[T comparable](p *T, otherwise T) T {
	var zero T
	if p == nil || *p == zero {
		return otherwise
	}
	return *p
}

func duration(d *flygo.Duration, otherwise time.Duration) time.Duration {
	if d == nil || d.Duration <= 0 {
		return otherwise
	}
	return d.Duration
}

// freshChecks are the checks before anybody looked.
func (m *machine) freshChecks(now time.Time) []check {
	var all []check
	for _, p := range m.probings() {
		all = append(all, check{Name: p.name, Status: "critical", Output: "", UpdatedAt: now.UTC().Truncate(time.Second)})
	}
	return all
}

// judge sets all simulated checks.
func (s *Server) judge(m *machine, status string) {
	status = cmp.Or(m.forced, status, "passing")
	output := map[string]string{"passing": "200 OK", "warning": "slow", "critical": "connect: connection refused"}[status]
	m.checks = slices.Clone(m.checks)
	for i := range m.checks {
		m.checks[i].Status, m.checks[i].Output, m.checks[i].UpdatedAt = status, output, s.now().UTC().Truncate(time.Second)
	}
	s.touch(m)
}

// probe looks at a running command for as long as it runs: often until a check passes for the first
// time, then at the interval of the check, but at least once a second, so that tests see failures.
func (s *Server) probe(ctx context.Context, m *machine, p *process) {
	defer s.wg.Done()
	s.mu.Lock()
	all, ports := m.probings(), maps.Clone(m.ports)
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	next := make([]time.Time, len(all))
	for {
		for i, c := range all {
			if time.Now().Before(next[i]) {
				continue
			}
			output, err := c.ask(ctx, client, ports[c.port])
			if ctx.Err() != nil {
				return
			}
			next[i] = time.Now().Add(min(c.interval, time.Second))
			if err != nil {
				next[i] = time.Now()
			}
			if err != nil {
				output = err.Error()
			}
			s.found(m, p, seen{c.name, output, err == nil})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// seen is what one probe saw.
type seen struct {
	name, output string
	fine         bool
}

func (s *Server) found(m *machine, p *process, what seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.proc != p {
		return
	}
	status := "critical"
	if what.fine {
		status = "passing"
	}
	status = cmp.Or(m.forced, s.fate(m.spec.Image).Checks, status)
	m.checks = slices.Clone(m.checks)
	for i := range m.checks {
		if m.checks[i].Name == what.name && (m.checks[i].Status != status || m.checks[i].Output != what.output) {
			m.checks[i].Status, m.checks[i].Output, m.checks[i].UpdatedAt = status, what.output, s.now().UTC().Truncate(time.Second)
			s.touch(m)
		}
	}
}

func (c probing) ask(ctx context.Context, client *http.Client, port int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if c.kind == "tcp" {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", at)
		if err != nil {
			return "", err
		}
		return "Success", conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(c.method), c.scheme+"://"+at+c.path, nil)
	if err != nil {
		return "", err
	}
	for _, h := range c.headers {
		for _, v := range h.Values {
			req.Header.Add(h.Name, v)
			if strings.EqualFold(h.Name, "Host") {
				req.Host = v
			}
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 256)) // the status decides
	if err := resp.Body.Close(); err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s: %s", resp.Status, text)
	}
	return resp.Status, nil
}
