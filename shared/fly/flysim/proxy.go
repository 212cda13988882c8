package flysim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// AppHeader names the app of a request to Proxy, for clients that cannot say it by the host.
const AppHeader = "Fly-Sim-App"

const (
	// proxyPatience is how long a request waits for a machine before it is answered 503.
	proxyPatience = 30 * time.Second
	// redial is how often a machine that starts is asked whether its port answers.
	redial = 2 * time.Millisecond
)

// Proxy is what Fly's proxy is to the outside, over plain HTTP: a request for APP.fly.dev, APP.localhost, or a hostname that
// has a certificate, goes to a started machine that serves port 443 or 80 and has the least to do. Where none is started, or all
// have more to do than their soft limit, one that is stopped or suspended is started, unless its service has autostart off;
// the request waits until its port answers. A leased or cordoned machine is not woken. The machine sees the request with the
// headers that Fly adds.
//
// An app without a public address is unknown (404); what no machine serves in time is answered 503, what breaks on the way 502, and
// a machine that runs no program on this host 501. Certificates and TLS are not simulated.
func (s *Server) Proxy() http.Handler { return &proxy{server: s} }

// proxy is a door to all apps, or to one.
type proxy struct {
	server *Server
	app    string
}

// passage is a request on its way through a machine.
type passage struct {
	m *machine
	p *process
	// port is on loopback; zero is a machine without a program.
	port int
	id   string
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.server
	name := s.proxied(p.app, r)
	if name == "" {
		refuse(w, http.StatusNotFound, "no app of the simulated Fly has the public address "+r.Host)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), proxyPatience)
	pass, why := s.await(ctx, name)
	defer cancel()
	switch {
	case pass == nil:
		refuse(w, http.StatusServiceUnavailable, "app "+name+": "+why)
		return
	case pass.port == 0:
		s.leave(pass)
		refuse(w, http.StatusNotImplemented, "machine "+pass.m.id+" of "+name+" is simulated and runs no program: map its image to a command")
		return
	}
	defer s.leave(pass)
	through := &httputil.ReverseProxy{
		Rewrite:        pass.rewrite,
		Transport:      &http.Transport{DialContext: s.dialer(pass), DisableCompression: true, DisableKeepAlives: true},
		ModifyResponse: pass.sign,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, "app "+name+": machine "+pass.m.id+": "+err.Error())
		},
	}
	through.ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Server", "flysim")
	http.Error(w, why, status)
}

// rewrite gives the machine's program the request as Fly's proxy does.
func (p *passage) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(&url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))})
	r.Out.Host = r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	client, _, err := net.SplitHostPort(r.In.RemoteAddr)
	if err != nil {
		client = r.In.RemoteAddr
	}
	for k, v := range map[string]string{
		"Fly-Client-Ip": client, "Fly-Forwarded-Proto": "https", "X-Forwarded-Proto": "https", "Fly-Forwarded-Port": "443", "X-Forwarded-Port": "443",
		"Fly-Region": p.m.region, "Fly-Request-Id": p.id, "Via": "1.1 fly.io", "X-Request-Start": "t=" + strconv.FormatInt(time.Now().UnixMicro(), 10),
	} {
		r.Out.Header.Set(k, v)
	}
	r.Out.Header.Del(AppHeader)
}

// sign puts the proxy's headers on an answer.
func (p *passage) sign(answer *http.Response) error {
	answer.Header.Set("Fly-Request-Id", p.id)
	answer.Header.Set("Via", "1.1 fly.io")
	return nil
}

// dialer connects to a machine's program, which may not listen yet.
func (s *Server) dialer(p *passage) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, proxyPatience)
		defer cancel()
		var d net.Dialer
		for {
			conn, err := d.DialContext(ctx, network, addr)
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return conn, err
			}
			select {
			case <-ctx.Done():
				return nil, err
			case <-p.p.ended:
				return nil, errors.New("its program ended before it answered")
			case <-time.After(redial):
			}
		}
	}
}

// proxied is the app that a request is for; empty is none.
func (s *Server) proxied(fixed string, r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	name := fixed
	if name == "" {
		name = r.Header.Get(AppHeader)
	}
	for _, domain := range []string{".fly.dev", ".localhost"} {
		if name == "" && strings.HasSuffix(host, domain) {
			name = strings.TrimSuffix(host, domain)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" {
		name = s.certified(host)
	}
	if a := s.apps[name]; a == nil || !a.public() {
		return ""
	}
	return name
}

// certified is the app that has a certificate for a hostname.
func (s *Server) certified(host string) string {
	for _, a := range s.apps {
		if a.certificates[host] != nil {
			return a.name
		}
	}
	return ""
}

// public tells whether the app has an address that the world can reach.
func (a *app) public() bool {
	for _, ip := range a.ips {
		if addr := net.ParseIP(ip.IP); addr != nil && !addr.IsPrivate() {
			return true
		}
	}
	return false
}

// await waits until a machine takes the request; without one it says why not.
func (s *Server) await(ctx context.Context, name string) (*passage, string) {
	s.mu.Lock()
	if a := s.apps[name]; a != nil {
		a.traffic.requests++
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		s.settle()
		pass, why := s.enter(name) //nolint:contextcheck // a machine that is woken outlives the request
		changed := s.changed
		s.mu.Unlock()
		if pass != nil {
			return pass, ""
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, why
		case <-s.done:
			return nil, "the simulator ends"
		case <-time.After(50 * time.Millisecond): // leases expire silently
		}
	}
}
