package forgesim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// sshInfo is where git is served over ssh, and by which key it is known.
type sshInfo struct {
	addr string
	key  ssh.PublicKey
}

func (i sshInfo) line() string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(i.key))) }

// ListenSSH serves git over ssh on addr ("127.0.0.1:0" for a free port) until Close, to who holds a deploy key of
// the repository, and gives the line that pins its key in a known_hosts file. It serves fetches of go-git and
// clones of git; deploy keys write nothing.
func (s *Server) ListenSSH(addr string) (knownHosts string, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make host key: %w", err)
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return "", fmt.Errorf("make host key: %w", err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		text := string(ssh.MarshalAuthorizedKey(key))
		if !s.knowsKey(text) {
			return nil, errors.New("unknown key")
		}
		return &ssh.Permissions{Extensions: map[string]string{"key": text}}, nil
	}}
	config.AddHostKey(host)
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listen on %s: %w", addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers = append(s.servers, ln)
	s.ssh = sshInfo{ln.Addr().String(), host.PublicKey()}
	s.wg.Add(1)
	go s.acceptSSH(ln, config)
	return knownhosts.Line([]string{knownhosts.Normalize(s.ssh.addr)}, host.PublicKey()), nil
}

// sshURL is what to clone over ssh; where nothing listens it names the forge's host.
func (s *Server) sshURL(r *repo) string {
	if s.ssh.addr == "" {
		return "git@" + hostOf(s.base) + ":" + r.full() + ".git"
	}
	return "ssh://git@" + s.ssh.addr + "/" + r.full() + ".git"
}

func hostOf(base string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(base, "http://"), "https://")
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// has reports whether a deploy key is one of the repository's; comments do not count.
func (r *repo) has(key string) bool {
	return slices.ContainsFunc(r.keys, func(line string) bool {
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		return err == nil && string(ssh.MarshalAuthorizedKey(parsed)) == key
	})
}

func (s *Server) knowsKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all(), func(r *repo) bool { return r.has(key) })
}

func (s *Server) acceptSSH(ln net.Listener, config *ssh.ServerConfig) {
	defer s.wg.Done()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				select {
				case <-s.done:
				case <-stop:
				}
				_ = conn.Close() // what is under way ends
			}()
			s.serveSSH(conn, config)
		})
	}
}

func (s *Server) serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests)
	for fresh := range channels {
		if fresh.ChannelType() != "session" {
			_ = fresh.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		ch, reqs, err := fresh.Accept()
		if err != nil {
			return
		}
		s.session(ch, reqs, server.Permissions.Extensions["key"])
	}
}

// session runs the one command of a session.
func (s *Server) session(ch ssh.Channel, reqs <-chan *ssh.Request, key string) {
	defer ch.Close() //nolint:errcheck // the client may have closed it
	for req := range reqs {
		var in struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &in) != nil {
			_ = req.Reply(req.Type == "env", nil)
			continue
		}
		_ = req.Reply(true, nil)
		go ssh.DiscardRequests(reqs)
		code := uint32(0)
		if err := s.command(ch, in.Command, key); err != nil {
			fmt.Fprintf(ch.Stderr(), "ERROR: %v\n", err)
			code = 1
		}
		_ = ch.CloseWrite()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}

func (s *Server) command(conn io.ReadWriter, command, key string) error {
	program, path, _ := strings.Cut(command, " ")
	owner, name, _ := strings.Cut(strings.TrimPrefix(strings.Trim(path, "'"), "/"), "/")
	s.mu.Lock()
	s.requests["ssh/"+program]++
	r := s.find(owner, name)
	opens := r != nil && r.has(key)
	s.mu.Unlock()
	switch {
	case !opens:
		return errors.New("Repository not found.") //nolint:staticcheck,revive // as GitHub says it
	case program == "git-receive-pack":
		return errors.New("The key you are authenticating with has been marked as read only") //nolint:staticcheck // as GitHub says it
	case program != "git-upload-pack":
		return fmt.Errorf("unknown command %q", program)
	}
	return s.git.ServeStream(context.Background(), r.full(), conn)
}
