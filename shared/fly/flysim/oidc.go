package flysim

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// oidcLasts is how long a machine's token is valid.
const oidcLasts = 10 * time.Minute

// oidcKeyID names the one key.
const oidcKeyID = "flysim-1"

// issuer signs the tokens of machines. Each organisation is an issuer of its own, all with one key.
type issuer struct {
	mu   sync.Mutex
	base string
	key  *rsa.PrivateKey
}

// learn takes the address of the first request for the server's own.
func (i *issuer) learn(r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.base == "" && r.Host != "" {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		i.base = scheme + "://" + r.Host
	}
}

func (i *issuer) address() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.base
}

// signer is made when it is first needed: that takes a while.
func (i *issuer) signer() (*rsa.PrivateKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.key == nil {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		i.key = key
	}
	return i.key, nil
}

// OIDCIssuer is the issuer in the tokens of an organisation's machines, as https://oidc.fly.io/ORG is Fly's. It
// is below the address of the first request that reached the server, and empty before there was one.
func (s *Server) OIDCIssuer(orgSlug string) string {
	base := s.issuer.address()
	if base == "" {
		return ""
	}
	return base + "/oidc/" + orgSlug
}

// openRoutes are the documents of the issuers, which everybody may read.
func (s *Server) openRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /oidc/{org}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		is := s.OIDCIssuer(r.PathValue("org"))
		write(w, ok(map[string]any{
			"issuer": is, "jwks_uri": is + "/.well-known/jwks", "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		}))
	})
	mux.HandleFunc("GET /oidc/{org}/.well-known/jwks", func(w http.ResponseWriter, _ *http.Request) {
		key, err := s.issuer.signer()
		if err != nil {
			write(w, fail(http.StatusInternalServerError, err.Error()))
			return
		}
		write(w, ok(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": oidcKeyID,
			"n": base64URL(key.N.Bytes()), "e": base64URL(big.NewInt(int64(key.E)).Bytes()),
		}}}))
	})
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// MachineToken signs what a process in the machine would get from /.fly/api for the audience; an empty one is the
// organisation's. Its times are those of the clock before Advance: who checks them has another clock.
func (s *Server) MachineToken(app, id, audience string) (string, error) {
	s.mu.Lock()
	var claims map[string]any
	if a := s.apps[app]; a != nil {
		for _, m := range a.machines {
			if m.id == id && m.alive() {
				claims = s.claims(m, audience)
			}
		}
	}
	s.mu.Unlock()
	if claims == nil {
		return "", fmt.Errorf("sign a token: app %s has no machine %s", app, id)
	}
	return s.issuer.sign(claims)
}

// claims are what a token says of a machine. The caller holds the lock.
func (s *Server) claims(m *machine, audience string) map[string]any {
	now, o := s.clock.base(), m.app.org
	return map[string]any{
		"iss": s.OIDCIssuer(o.slug), "aud": cmp.Or(audience, "https://fly.io/"+o.slug), "sub": o.slug + ":" + m.app.name + ":" + m.name,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(oidcLasts).Unix(), "jti": rand.Text(),
		"app_id": strconv.FormatUint(m.app.numeric, 10), "app_name": m.app.name, "org_id": strconv.FormatUint(o.numeric, 10), "org_name": o.slug,
		"machine_id": m.id, "machine_name": m.name, "machine_version": m.instance, "region": m.region,
		"image": m.spec.Image, "image_digest": parseImage(m.spec.Image).Digest,
	}
}

func (i *issuer) sign(claims map[string]any) (string, error) {
	key, err := i.signer()
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": oidcKeyID})
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	text := base64URL(header) + "." + base64URL(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return text + "." + base64URL(signature), nil
}

// socketName is the machine's API in the home of a command, which FLYCD_FLY_SOCKET names there: /.fly/api is one for
// each machine on Fly, and would be one for all of them on this host.
const socketName = "fly-api"

// serveMachine serves the machine's API on its socket until the result is closed. The caller holds the lock.
func (s *Server) serveMachine(m *machine, home string) (*http.Server, error) {
	path := filepath.Join(home, socketName)
	_ = os.Remove(path)                 // what an earlier start left
	ln, err := net.Listen("unix", path) //nolint:noctx // it listens at once or not at all
	if err != nil {
		return nil, fmt.Errorf("serve the machine's API: %w", err)
	}
	app, id := m.app.name, m.id
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/tokens/oidc", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Aud string `json:"aud"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
			write(w, failf(http.StatusBadRequest, "invalid_argument: invalid request body: %v", err))
			return
		}
		token, err := s.MachineToken(app, id, in.Aud)
		if err != nil {
			write(w, fail(http.StatusNotFound, err.Error()))
			return
		}
		_, _ = w.Write([]byte(token)) // a client that is gone cannot be told
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		write(w, failf(http.StatusNotImplemented, "flysim does not simulate %s %s of a machine's own API", r.Method, r.URL.Path))
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		_ = srv.Serve(ln) // always ends with http.ErrServerClosed
	}()
	return srv, nil
}
