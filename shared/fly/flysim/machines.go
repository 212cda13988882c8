package flysim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/macaroon/resset"
)

func (s *Server) machineRoutes() []route {
	const all = " /v1/apps/{app}/machines"
	const one = all + "/{id}"
	routes := []route{
		{pattern: "GET" + all, action: resset.ActionRead, scope: toApp, run: s.listMachines},
		{pattern: "POST" + all, action: resset.ActionWrite, scope: toApp, run: s.createMachine},
		{pattern: "GET" + one, action: resset.ActionRead, scope: toMachine, run: s.showMachine},
		{pattern: "POST" + one, action: resset.ActionWrite, scope: toMachine, leased: true, run: s.updateMachine},
		{pattern: "DELETE" + one, action: resset.ActionDelete, scope: toMachine, leased: true, run: s.destroyMachine},
		{pattern: "GET" + one + "/events", action: resset.ActionRead, scope: toMachine, run: s.listEvents},
		{pattern: "GET" + one + "/versions", action: resset.ActionRead, scope: toMachine, run: func(c *call) answer { return ok(c.m.versions) }},
		{pattern: "GET" + one + "/wait", action: resset.ActionRead, scope: toMachine, free: true, run: s.wait},
	}
	routes = append(routes, s.metadataRoutes()...)
	return append(routes, s.actionRoutes()...)
}

func (s *Server) listMachines(c *call) answer {
	q := c.r.URL.Query()
	now := s.now()
	views := []any{}
	for _, m := range c.app.machines {
		if now.Before(m.created.Add(s.lag.Create)) {
			continue
		}
		if !m.alive() && q.Get("include_deleted") != "true" && s.lag.List == 0 {
			continue
		}
		if q.Has("region") && q.Get("region") != m.region || q.Has("state") && !slices.Contains(strings.Split(q.Get("state"), ","), m.state) {
			continue
		}
		v := s.stale(m)
		if v == nil && !m.alive() && q.Get("include_deleted") == "true" {
			v = m.view()
		}
		if v != nil {
			views = append(views, v)
		}
	}
	return ok(views)
}

// stale is the machine as lists show it: as it was some time ago, where the lag says so.
func (s *Server) stale(m *machine) any {
	if s.lag.List == 0 {
		return m.view()
	}
	then := s.now().Add(-s.lag.List)
	for i := len(m.past) - 1; i >= 0; i-- {
		if !m.past[i].at.After(then) {
			if m.past[i].json == nil { // destroyed
				return nil
			}
			return m.past[i].json
		}
	}
	return nil
}

func (s *Server) showMachine(c *call) answer { return ok(c.m.view()) }

func (s *Server) listEvents(c *call) answer {
	limit := 20
	if text := c.r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 50 {
			return failf(http.StatusBadRequest, "invalid_argument: limit must be between 1 and 50, not %q", text)
		}
		limit = n
	}
	return ok(c.m.events[:min(limit, len(c.m.events))])
}

// launchInput is the body of create and update.
type launchInput struct {
	Name              string         `json:"name"`
	Region            string         `json:"region"`
	Config            map[string]any `json:"config"`
	SkipLaunch        bool           `json:"skip_launch"`
	SkipRegistration  bool           `json:"skip_service_registration"`
	SkipSecrets       bool           `json:"skip_secrets"`
	MinSecretsVersion *uint64        `json:"min_secrets_version"`
	LeaseTTL          int            `json:"lease_ttl"`
	CurrentVersion    string         `json:"current_version"`
}

func (s *Server) createMachine(c *call) answer {
	in, a, fine := parseLaunch(c.body)
	if !fine {
		return a
	}
	if in.Name != "" && !machineNameOK(in.Name) {
		return failf(http.StatusUnprocessableEntity, "invalid_argument: machine name %q is invalid: it may only contain letters, numbers, dashes, underscores and periods", in.Name)
	}
	for _, m := range c.app.machines {
		if m.alive() && in.Name != "" && m.name == in.Name {
			return failf(http.StatusConflict, "already_exists: unique machine name violation, machine ID %s already exists with name %q", m.id, m.name)
		}
	}
	region := cmp.Or(strings.SplitN(in.Region, ",", 2)[0], s.opts.Nearest)
	if !knownRegion(region) {
		return failf(http.StatusUnprocessableEntity, "invalid_argument: region %s not found", region)
	}
	if region == anyRegion {
		region = s.opts.Nearest
	}
	m := &machine{
		id: s.machineID(), name: cmp.Or(in.Name, s.machineName()), region: region, app: c.app,
		created: s.now(), host: hostOK, ports: map[int]int{},
	}
	if a, fine := s.configure(m, in); !fine {
		return a
	}
	if a, full := s.full(m); full {
		return a
	}
	m.secretsVersion = s.secretsAvailable(c.app)
	m.cordoned = in.SkipRegistration
	s.serial++
	m.ip = fmt.Sprintf("fdaa:0:%x:a7b:105:%x:%x:2", c.app.org.numeric, s.serial&0xffff, c.app.numeric)
	s.attach(m)
	s.forget(c.app)
	c.app.machines = append(c.app.machines, m)
	s.renew(m)
	s.launch(m, in.SkipLaunch || len(m.spec.Standbys) > 0)
	s.keepSchedule(m)
	return s.granted(c, m, in)
}

// forget drops machines that nobody can read any more.
func (s *Server) forget(a *app) {
	now := s.now()
	a.machines = slices.DeleteFunc(slices.Clone(a.machines), func(m *machine) bool {
		return !m.alive() && now.After(m.gone.Add(s.opts.Remember))
	})
}

// granted answers with the machine, and with the nonce of a lease that was asked for.
func (s *Server) granted(c *call, m *machine, in launchInput) answer {
	v := m.view()
	if in.LeaseTTL > 0 {
		s.grant(m, c.who, time.Duration(in.LeaseTTL)*time.Second, "")
		v.Nonce = m.lease.nonce
	}
	return ok(v)
}

// configure gives the machine a config, once everything about it is known to be fine.
func (s *Server) configure(m *machine, in launchInput) (answer, bool) {
	if in.MinSecretsVersion != nil {
		if v := s.secretsAvailable(m.app); v < *in.MinSecretsVersion {
			return failf(http.StatusPreconditionFailed, "failed_precondition: min_secrets_version %d is not yet available on this app", *in.MinSecretsVersion), false
		}
	}
	spec, why := specOf(in.Config)
	if why != nil {
		return answer{status: why.status, body: problem{Error: why.text}}, false
	}
	ref := parseImage(spec.Image)
	if s.fate(spec.Image).Missing {
		return failf(http.StatusBadRequest, "invalid_argument: failed to get manifest %s: MANIFEST_UNKNOWN: manifest unknown", spec.Image), false
	}
	if a, fine := s.mountable(m, spec); !fine {
		return a, false
	}
	m.spec, m.image, m.skipSecrets = spec, ref, in.SkipSecrets
	m.config = s.echo(m, in.Config)
	return answer{}, true
}

// full tells whether the machine's region has no room for it.
func (s *Server) full(m *machine) (answer, bool) {
	limit, limited := s.opts.Capacity[m.region]
	if !limited {
		return answer{}, false
	}
	n := 0
	for _, a := range s.apps {
		for _, other := range a.machines {
			if other.alive() && other.region == m.region {
				n++
			}
		}
	}
	if n < limit {
		return answer{}, false
	}
	why := "could not reserve resource for machine: insufficient memory available to fulfill request"
	if len(m.spec.Mounts) > 0 {
		why = "insufficient resources to create new machine with existing volume " + m.spec.Mounts[0].Volume
	}
	return answer{status: http.StatusPreconditionFailed, body: problem{Error: why, Status: "insufficient_capacity"}}, true
}

func (s *Server) updateMachine(c *call) answer {
	in, a, fine := parseLaunch(c.body)
	if !fine {
		return a
	}
	m := c.m
	switch {
	case !m.alive() || m.state == stateDestroying:
		return failf(http.StatusPreconditionFailed, "failed_precondition: unable to update machine from current state: '%s'", m.state)
	case in.CurrentVersion != "" && in.CurrentVersion != m.instance:
		return failf(http.StatusPreconditionFailed, "failed_precondition: machine version mismatch: current_version %s is not the current version %s", in.CurrentVersion, m.instance)
	case in.Region != "" && in.Region != m.region:
		return failf(http.StatusUnprocessableEntity, "invalid_argument: region of machine %s cannot be changed from %s to %s", m.id, m.region, in.Region)
	case in.Name != "" && in.Name != m.name:
		return failf(http.StatusUnprocessableEntity, "invalid_argument: name of machine %s cannot be changed", m.id)
	}
	before := *m
	if a, fine := s.configure(m, in); !fine {
		return a
	}
	if in.MinSecretsVersion != nil {
		m.secretsVersion = s.secretsAvailable(m.app)
	}
	s.detach(&before)
	s.attach(m)
	s.renew(m)
	s.replace(m, in.SkipLaunch)
	s.keepSchedule(m)
	return s.granted(c, m, in)
}

func (s *Server) destroyMachine(c *call) answer {
	m := c.m
	q := c.r.URL.Query()
	force := q.Get("force") == "true" || q.Get("kill") == "true"
	switch m.state {
	case stateDestroyed, stateDestroying:
		return ok(done{OK: true})
	case stateStopped, stateSuspended, stateCreated, stateFailed:
	default:
		if !force {
			return failf(http.StatusPreconditionFailed, "failed_precondition: unable to destroy machine, not currently stopped, suspended, or failed, current state: '%s'", m.state)
		}
	}
	m.wedged = m.wedged && !force
	s.destroy(m)
	return ok(done{OK: true})
}

func machineNameOK(name string) bool {
	return len(name) <= 63 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
