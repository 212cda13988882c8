package flysim

import (
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// controls are the simulator's own endpoints. They need no token: who can reach them owns the
// simulated world.
func (s *Server) controls() *http.ServeMux {
	mux := http.NewServeMux()
	on := func(pattern string, run func(r *http.Request, body []byte) answer) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				write(w, failf(http.StatusBadRequest, "read body: %v", err))
				return
			}
			write(w, run(r, body))
		})
	}
	on("GET /_sim/state", func(*http.Request, []byte) answer { return ok(s.State()) })
	on("PUT /_sim/faults", s.putFaults)
	on("GET /_sim/faults", s.getFaults)
	on("POST /_sim/clock", s.postClock)
	on("PUT /_sim/lag", s.putLag)
	on("PUT /_sim/images", s.putImages)
	on("POST /_sim/foreign", s.postForeign)
	on("POST /_sim/tokens", s.postToken)
	on("POST /_sim/machines/{id}/{do}", s.postMachine)
	on("POST /_sim/apps/{app}/url", s.postAppURL)
	on("POST /_sim/certificates/{hostname}/{do}", s.postCertificate)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, failf(http.StatusNotFound, "no such endpoint of the simulator: %s %s", r.Method, r.URL.Path))
	})
	return mux
}

func bad(err error) answer { return fail(http.StatusBadRequest, err.Error()) }

func (s *Server) putFaults(_ *http.Request, body []byte) answer {
	list, err := ParseFaults(body)
	if err != nil {
		return bad(err)
	}
	if err := s.SetFaults(list...); err != nil {
		return bad(err)
	}
	return ok(done{OK: true})
}

func (s *Server) getFaults(*http.Request, []byte) answer {
	return ok(s.faults.States())
}

// postClock takes {"advance":"90s"}, {"freeze":true} and {"freeze":false}, also together.
func (s *Server) postClock(_ *http.Request, body []byte) answer {
	var in struct {
		Advance string `json:"advance"`
		Freeze  *bool  `json:"freeze"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return bad(err)
	}
	var d time.Duration
	if in.Advance != "" {
		var err error
		if d, err = time.ParseDuration(in.Advance); err != nil {
			return bad(err)
		}
	}
	if d < 0 || d > 10*365*24*time.Hour {
		return failf(http.StatusBadRequest, "advance %s: time moves forward, at most ten years at once", d)
	}
	if in.Freeze != nil && *in.Freeze {
		s.Freeze()
	}
	s.Advance(d)
	if in.Freeze != nil && !*in.Freeze {
		s.Resume()
	}
	return ok(map[string]time.Time{"now": s.Now().UTC()})
}

func (s *Server) putLag(_ *http.Request, body []byte) answer {
	var in struct {
		List    int `json:"list_ms"`
		Create  int `json:"create_ms"`
		Secrets int `json:"secrets_ms"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return bad(err)
	}
	ms := func(n int) time.Duration { return time.Duration(max(0, n)) * time.Millisecond }
	s.SetLag(Lag{List: ms(in.List), Create: ms(in.Create), Secrets: ms(in.Secrets)})
	return ok(done{OK: true})
}

func (s *Server) putImages(_ *http.Request, body []byte) answer {
	var in map[string]Behavior
	if err := json.Unmarshal(body, &in); err != nil {
		return bad(err)
	}
	for ref, b := range in {
		s.SetImage(ref, b)
	}
	return ok(done{OK: true})
}

func (s *Server) postForeign(_ *http.Request, body []byte) answer {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return bad(err)
	}
	s.Foreign(in.Name)
	return ok(done{OK: true})
}

// postToken mints a macaroon for an organisation: {"org":"personal"}.
func (s *Server) postToken(_ *http.Request, body []byte) answer {
	var in struct {
		Org string `json:"org"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return bad(err)
	}
	text, err := s.Mint(in.Org)
	if err != nil {
		return bad(err)
	}
	return ok(map[string]string{"token": text})
}

// postCertificate makes the DNS records of a hostname appear (issue) or disappear (withdraw).
func (s *Server) postCertificate(r *http.Request, _ []byte) answer {
	do := r.PathValue("do")
	if do != "issue" && do != "withdraw" {
		return failf(http.StatusNotFound, "unknown order %q: issue or withdraw", do)
	}
	if !s.Issue(r.PathValue("hostname"), do == "issue") {
		return failf(http.StatusNotFound, "no certificate for %s", r.PathValue("hostname"))
	}
	return ok(done{OK: true})
}
