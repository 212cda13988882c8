package flysim

import (
	"net/http"
	"strconv"
	"time"

	"github.com/superfly/macaroon/resset"
)

const nonceHeader = "fly-machine-lease-nonce"

func (s *Server) leaseRoutes() []route {
	const at = " /v1/apps/{app}/machines/{id}/lease"
	return []route{
		{pattern: "GET" + at, action: resset.ActionRead, scope: toMachine, run: s.showLease},
		{pattern: "POST" + at, action: resset.ActionWrite, scope: toMachine, run: s.takeLease},
		{pattern: "DELETE" + at, action: resset.ActionWrite, scope: toMachine, run: s.dropLease},
	}
}

// held is the machine's lease where it has not expired.
func (s *Server) held(m *machine) *lease {
	if m.lease != nil && !s.now().Before(m.lease.expires) {
		m.lease = nil
	}
	return m.lease
}

// leaseRefuses tells whether somebody else's lease forbids a write.
func (s *Server) leaseRefuses(c *call) (answer, bool) {
	l := s.held(c.m)
	if l == nil || c.r.Header.Get(nonceHeader) == l.nonce {
		return answer{}, false
	}
	return failf(http.StatusConflict, "aborted: machine ID %s lease currently held by %s, expires at %s",
		c.m.id, l.owner, l.expires.UTC().Format(time.RFC3339)), true
}

type leaseView struct {
	Status string    `json:"status"`
	Data   leaseData `json:"data"`
}

type leaseData struct {
	Nonce       string `json:"nonce"`
	ExpiresAt   int64  `json:"expires_at"`
	Owner       string `json:"owner"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

func (m *machine) leaseView() leaseView {
	return leaseView{Status: "success", Data: leaseData{
		Nonce: m.lease.nonce, ExpiresAt: m.lease.expires.Unix(), Owner: m.lease.owner,
		Description: m.lease.description, Version: m.instance,
	}}
}

func (s *Server) showLease(c *call) answer {
	if s.held(c.m) == nil {
		return fail(http.StatusNotFound, "lease not found")
	}
	return ok(c.m.leaseView())
}

func (s *Server) takeLease(c *call) answer {
	var in struct {
		TTL         int    `json:"ttl"`
		Description string `json:"description"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if text := c.r.URL.Query().Get("ttl"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return failf(http.StatusBadRequest, "invalid_argument: invalid ttl %q", text)
		}
		in.TTL = n
	}
	if in.TTL < 0 {
		return failf(http.StatusBadRequest, "invalid_argument: invalid ttl %d", in.TTL)
	}
	if in.TTL == 0 {
		in.TTL = 30
	}
	if !c.m.alive() {
		return failf(http.StatusNotFound, "machine %s has been destroyed", c.m.id)
	}
	if a, refused := s.leaseRefuses(c); refused {
		return a
	}
	if nonce := c.r.Header.Get(nonceHeader); nonce != "" && s.held(c.m) == nil {
		return fail(http.StatusNotFound, "lease not found")
	}
	s.grant(c.m, c.who, time.Duration(in.TTL)*time.Second, in.Description)
	return created(c.m.leaseView())
}

// grant gives the lease, or more time on the one that is held.
func (s *Server) grant(m *machine, who identity, ttl time.Duration, description string) {
	if s.held(m) == nil {
		m.lease = &lease{nonce: s.token(6), owner: who.owner, description: description}
	}
	// the API speaks in whole seconds, so a lease never ends before its ttl
	m.lease.expires = s.now().Add(ttl).Add(time.Second - 1).Truncate(time.Second)
}

func (s *Server) dropLease(c *call) answer {
	if s.held(c.m) == nil {
		return fail(http.StatusNotFound, "lease not found")
	}
	if a, refused := s.leaseRefuses(c); refused {
		return a
	}
	c.m.lease = nil
	s.announce()
	return ok(done{OK: true})
}
