package flysim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// internalAPI is where the Machines API is inside Fly's network.
const internalAPI = "http://_api.internal:4280"

// flyIssuers are where the tokens of machines come from, before the organisation's slug.
const flyIssuers = "https://oidc.fly.io/"

// doors are the addresses of this host that stand for Fly's.
type doors struct {
	// api is the first that Listen served on.
	api string
	// open tells whether Proxy is served, and so apps have addresses.
	open bool
	// apps are the addresses of apps that were asked for.
	apps map[string]string
}

// Listen serves on addr ("127.0.0.1:0" for a free port) until Close and returns the base URL. Commands that machines run find it in
// FLY_FLAPS_BASE_URL, FLY_API_BASE_URL and FLY_UIEX_BASE_URL unless their machine says otherwise, and in place of
// http://_api.internal:4280.
func (s *Server) Listen(addr string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.listen(addr, s)
	if err == nil && s.doors.api == "" {
		s.doors.api = at
	}
	return at, err
}

// ListenProxy serves Proxy on addr until Close and returns the base URL. With an app, every request is for it, whatever host it names.
// From then on AppURL gives addresses, and commands that machines run find them in place of https://APP.fly.dev.
func (s *Server) ListenProxy(addr, app string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.listen(addr, &proxy{server: s, app: app})
	if err != nil {
		return "", err
	}
	s.doors.open = true
	if app != "" && s.doors.apps[app] == "" {
		s.doors.apps[app] = at
	}
	return at, nil
}

// AppURL is an address of this host that stands for https://APP.fly.dev: whatever is sent there goes to the app, through
// Proxy. It is made when it is asked for the first time, whether the app exists or not, and stays.
func (s *Server) AppURL(app string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appURL(app)
}

func (s *Server) appURL(app string) (string, error) {
	if at := s.doors.apps[app]; at != "" {
		return at, nil
	}
	at, err := s.listen("127.0.0.1:0", &proxy{server: s, app: app})
	if err == nil {
		s.doors.apps[app] = at
	}
	return at, err
}

// listen serves a handler. The caller holds the lock.
func (s *Server) listen(addr string, handler http.Handler) (string, error) {
	if s.closed {
		return "", fmt.Errorf("listen on %s: the simulator is closed", addr)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, srv)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		_ = srv.Serve(ln) // always ends with http.ErrServerClosed or because the listener is gone
	}()
	return "http://" + ln.Addr().String(), nil
}

// translate puts addresses of this host in place of those that only Fly's network knows.
func (s *Server) translate(env map[string]string) {
	if s.doors.api != "" {
		for _, name := range []string{"FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL", "FLY_UIEX_BASE_URL"} {
			if env[name] == "" {
				env[name] = s.doors.api
			}
		}
	}
	for k, v := range env {
		if s.doors.api != "" {
			v = strings.ReplaceAll(v, internalAPI, s.doors.api)
			v = strings.ReplaceAll(v, flyIssuers, s.OIDCIssuer(""))
		}
		env[k] = s.translateApps(v)
	}
}

// translatePorts puts the ports of this host in place of those that a setting such as METRICS_PORT names, as machines
// share this host's network.
func (m *machine) translatePorts(env map[string]string) {
	for k, v := range env {
		if inside, err := strconv.Atoi(v); err == nil && strings.HasSuffix(k, "PORT") && m.ports[inside] != 0 {
			env[k] = strconv.Itoa(m.ports[inside])
		}
	}
}

// translateApps does so for the addresses of apps that exist.
func (s *Server) translateApps(text string) string {
	if !s.doors.open || !strings.Contains(text, ".fly.dev") {
		return text
	}
	for name := range s.apps {
		theirs := "https://" + name + ".fly.dev"
		if !strings.Contains(text, theirs) {
			continue
		}
		ours, err := s.appURL(name)
		if err != nil {
			s.opts.Log.Error("app has no address", "app", name, "error", err)
			continue
		}
		text = strings.ReplaceAll(text, theirs, ours)
	}
	return text
}

// postAppURL gives the address of this host that stands for an app's.
func (s *Server) postAppURL(r *http.Request, _ []byte) answer {
	at, err := s.AppURL(r.PathValue("app"))
	if err != nil {
		return bad(err)
	}
	return ok(map[string]string{"url": at})
}

// Transport carries requests for https://APP.fly.dev to the apps that exist here, once ListenProxy serves, and everything else by
// base. It is for what simulates the world around Fly, such as a forge that sends webhooks.
func (s *Server) Transport(base http.RoundTripper) http.RoundTripper {
	return outside{server: s, base: base}
}

type outside struct {
	server *Server
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (o outside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return o.base.RoundTrip(r)
	}
	o.server.mu.Lock()
	at := o.server.translateApps("https://" + r.URL.Host) //nolint:contextcheck // a listener outlives the request
	o.server.mu.Unlock()
	ours, ok := strings.CutPrefix(at, "http://")
	if !ok {
		return o.base.RoundTrip(r)
	}
	theirs := r.Clone(r.Context())
	if theirs.Host == "" {
		theirs.Host = r.URL.Host
	}
	theirs.URL.Scheme, theirs.URL.Host = "http", ours
	return o.base.RoundTrip(theirs)
}
