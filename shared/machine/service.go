package machine

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// services gives the group's services, http_service first.
func (t *translator) services(group string) []flygo.MachineService {
	var all []flygo.MachineService
	if h := t.app.HTTPService; h != nil && t.concerns(h.Processes, group) {
		all = append(all, t.service("http_service", httpService(h)))
	}
	for _, s := range t.app.Services {
		if t.concerns(s.Processes, group) {
			all = append(all, t.service("services", s))
		}
	}
	return all
}

// httpService writes Fly's short form out in full: port 80, and 443 with TLS.
func httpService(h *manifest.HTTPService) manifest.Service {
	return manifest.Service{
		Protocol:           "tcp",
		InternalPort:       h.InternalPort,
		AutoStopMachines:   h.AutoStopMachines,
		AutoStartMachines:  h.AutoStartMachines,
		MinMachinesRunning: h.MinMachinesRunning,
		Concurrency:        h.Concurrency,
		HTTPChecks:         h.Checks,
		Ports: []manifest.Port{
			{Port: new(80), Handlers: []string{"http"}, ForceHTTPS: h.ForceHTTPS, HTTPOptions: h.HTTPOptions},
			{Port: new(443), Handlers: []string{"http", "tls"}, HTTPOptions: h.HTTPOptions, TLSOptions: h.TLSOptions},
		},
	}
}

func (t *translator) service(key string, s manifest.Service) flygo.MachineService {
	out := flygo.MachineService{
		Protocol:           s.Protocol,
		InternalPort:       s.InternalPort,
		Autostop:           t.autostop(key, s.AutoStopMachines),
		Autostart:          s.AutoStartMachines,
		MinMachinesRunning: s.MinMachinesRunning,
		Concurrency:        concurrency(s.Concurrency),
	}
	if s.InternalPort < 1 || s.InternalPort > 65535 {
		t.bad(key+".internal_port", "is %d; it must be the port that the app listens on, 1 to 65535", s.InternalPort)
	}
	if s.Protocol != "tcp" && s.Protocol != "udp" && s.Protocol != "" {
		t.bad(key+".protocol", "is %q; it can be tcp or udp", s.Protocol)
	}
	if len(s.Ports) == 0 {
		t.warn(key+".ports", "are missing, so nothing outside reaches the service on internal port %d", s.InternalPort)
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, t.port(key+".ports", p))
	}
	for _, c := range s.TCPChecks {
		t.warnClamped(key+".tcp_checks", c.Interval, c.Timeout)
		out.Checks = append(out.Checks, flygo.MachineServiceCheck{
			Type: new("tcp"), Interval: duration(c.Interval), Timeout: duration(c.Timeout), GracePeriod: duration(c.GracePeriod),
		})
	}
	for _, c := range s.HTTPChecks {
		t.warnClamped(key+".checks", c.Interval, c.Timeout)
		out.Checks = append(out.Checks, httpCheck(c))
	}
	return out
}

// warnClamped tells of check times that Fly bends to between a second and a minute.
func (t *translator) warnClamped(key string, interval, timeout *manifest.Duration) {
	for name, d := range map[string]*manifest.Duration{"interval": interval, "timeout": timeout} {
		if d != nil && (*d < manifest.Duration(time.Second) || *d > manifest.Duration(time.Minute)) {
			t.warn(key+"."+name, "is %s; Fly makes it no shorter than 1s and no longer than 1m", *d)
		}
	}
}

func (t *translator) autostop(key string, a *manifest.Autostop) *flygo.MachineAutostop {
	if a == nil {
		return nil
	}
	switch *a {
	case "off", "false":
		return new(flygo.MachineAutostopOff)
	case "stop", "true":
		return new(flygo.MachineAutostopStop)
	case "suspend":
		return new(flygo.MachineAutostopSuspend)
	}
	t.bad(key+".auto_stop_machines", "is %q; it can be off, stop or suspend", string(*a))
	return nil
}

func concurrency(c *manifest.Concurrency) *flygo.MachineServiceConcurrency {
	if c == nil {
		return nil
	}
	return &flygo.MachineServiceConcurrency{Type: c.Type, HardLimit: c.HardLimit, SoftLimit: c.SoftLimit}
}

func (t *translator) port(key string, p manifest.Port) flygo.MachinePort {
	for name, n := range map[string]*int{"port": p.Port, "start_port": p.StartPort, "end_port": p.EndPort} {
		if n != nil && (*n < 1 || *n > 65535) {
			t.bad(key+"."+name, "is %d; it must be 1 to 65535", *n)
		}
	}
	out := flygo.MachinePort{
		Port: p.Port, StartPort: p.StartPort, EndPort: p.EndPort,
		Handlers: p.Handlers, ForceHTTPS: p.ForceHTTPS,
		HTTPOptions: t.httpOptions(key, p.HTTPOptions),
	}
	if o := p.TLSOptions; o != nil {
		out.TLSOptions = &flygo.TLSOptions{ALPN: o.ALPN, Versions: o.Versions, DefaultSelfSigned: o.DefaultSelfSigned}
	}
	if o := p.ProxyProtoOptions; o != nil {
		out.ProxyProtoOptions = &flygo.ProxyProtoOptions{Version: o.Version}
	}
	return out
}

func (t *translator) httpOptions(key string, o *manifest.HTTPOptions) *flygo.HTTPOptions {
	if o == nil {
		return nil
	}
	out := &flygo.HTTPOptions{
		Compress:           o.Compress,
		H2Backend:          o.H2Backend,
		IdleTimeout:        t.seconds(key+".http_options.idle_timeout", o.IdleTimeout),
		HeadersReadTimeout: t.seconds(key+".http_options.headers_read_timeout", o.HeadersReadTimeout),
	}
	if r := o.Response; r != nil {
		out.Response = &flygo.HTTPResponseOptions{Headers: r.Headers, Pristine: r.Pristine}
	}
	for _, c := range o.ReplayCache {
		out.ReplayCache = append(out.ReplayCache, flygo.ReplayCache{
			PathPrefix: c.PathPrefix, TTLSeconds: c.TTLSeconds, Type: c.Type, Name: c.Name,
			AllowBypass: c.AllowBypass != nil && *c.AllowBypass,
		})
	}
	return out
}

func (t *translator) seconds(key string, n *int) *uint32 {
	if n == nil {
		return nil
	}
	u, err := strconv.ParseUint(strconv.Itoa(*n), 10, 32)
	if err != nil {
		t.bad(key, "is %d; it must be a number of seconds, 0 or more", *n)
	}
	return new(uint32(u))
}

func httpCheck(c manifest.HTTPCheck) flygo.MachineServiceCheck {
	return flygo.MachineServiceCheck{
		Type: new("http"), Interval: duration(c.Interval), Timeout: duration(c.Timeout), GracePeriod: duration(c.GracePeriod),
		HTTPMethod: c.Method, HTTPPath: c.Path, HTTPProtocol: c.Protocol,
		HTTPSkipTLSVerify: c.TLSSkipVerify, HTTPTLSServerName: c.TLSServerName, HTTPHeaders: headers(c.Headers),
	}
}

// checks gives the group's top-level checks. One without a port takes that of the group's
// http_service.
func (t *translator) checks(group string) map[string]flygo.MachineCheck {
	var all map[string]flygo.MachineCheck
	for _, name := range slices.Sorted(maps.Keys(t.app.Checks)) {
		c := t.app.Checks[name]
		if c == nil || !t.concerns(c.Processes, group) {
			continue
		}
		if all == nil {
			all = map[string]flygo.MachineCheck{}
		}
		all[name] = t.check("checks."+name, group, c)
	}
	return all
}

func (t *translator) check(key, group string, c *manifest.Check) flygo.MachineCheck {
	out := flygo.MachineCheck{
		Type: new(c.Type), Port: c.Port, Interval: duration(c.Interval), Timeout: duration(c.Timeout), GracePeriod: duration(c.GracePeriod),
		HTTPPath: c.Path, HTTPProtocol: c.Protocol,
		HTTPSkipTLSVerify: c.TLSSkipVerify, HTTPTLSServerName: c.TLSServerName, HTTPHeaders: headers(c.Headers),
	}
	if c.Method != nil {
		out.HTTPMethod = new(strings.ToUpper(*c.Method))
	}
	if c.Type != "http" && c.Type != "tcp" {
		t.bad(key+".type", "is %q; it can be http or tcp", c.Type)
	}
	if h := t.app.HTTPService; c.Port == nil && h != nil && t.concerns(h.Processes, group) {
		out.Port = new(h.InternalPort)
	}
	if out.Port == nil {
		t.bad(key+".port", "is missing, and group %s has no http_service to take it from", group)
	}
	if c.Interval != nil && *c.Interval < manifest.Duration(2*time.Second) {
		t.bad(key+".interval", "is %s; it must be 2s at least", *c.Interval)
	}
	if c.Timeout != nil && *c.Timeout > manifest.Duration(time.Minute) {
		t.bad(key+".timeout", "is %s; it must be 1m at most", *c.Timeout)
	}
	return out
}
