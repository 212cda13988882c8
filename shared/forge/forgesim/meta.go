package forgesim

import (
	"net/http"
	"strconv"

	"golang.org/x/crypto/ssh"
)

func (s *Server) metaRoutes() []route {
	return []route{
		{pattern: "GET /meta", run: func(*call) answer { return ok(s.metaView()) }},
		{pattern: "GET /zen", run: func(*call) answer { return ok("Keep it logically awesome.") }},
		{pattern: "GET /{$}", run: func(*call) answer { return ok(obj{"current_user_url": s.base + "/user"}) }},
		{pattern: "GET /user", run: func(c *call) answer {
			if c.who.login == "" {
				return fail(http.StatusUnauthorized, "Requires authentication")
			}
			if c.who.minted != nil {
				return fail(http.StatusForbidden, "Resource not accessible by integration")
			}
			return ok(s.userView(c.who.login))
		}},
		{pattern: "GET /users/{owner}", run: func(c *call) answer { return ok(s.userView(c.r.PathValue("owner"))) }},
		{pattern: "GET /rate_limit", run: s.rateLimit},
	}
}

// metaView is what the forge says of itself; the ssh keys are those of ListenSSH.
func (s *Server) metaView() obj {
	keys, prints := []string{}, obj{}
	if s.ssh.key != nil {
		keys = append(keys, s.ssh.line())
		prints["SHA256_ED25519"] = ssh.FingerprintSHA256(s.ssh.key)[len("SHA256:"):]
	}
	return obj{
		"verifiable_password_authentication": false, "ssh_keys": keys, "ssh_key_fingerprints": prints, "hooks": []string{"127.0.0.0/8"},
		"git": []string{"127.0.0.0/8"}, "api": []string{"127.0.0.0/8"},
	}
}

func (s *Server) rateLimit(c *call) answer {
	limit, used := s.opts.RateLimit, 0
	if limit == 0 {
		limit = 5000
	}
	reset := s.now()
	if r := s.rates[c.who.key]; r != nil {
		used, reset = r.used, r.reset
	}
	core := obj{"limit": limit, "used": used, "remaining": max(0, limit-used), "reset": reset.Unix()}
	return answer{http.StatusOK, obj{"resources": obj{"core": core}, "rate": core}, http.Header{"X-Ratelimit-Limit": {strconv.Itoa(limit)}}}
}
