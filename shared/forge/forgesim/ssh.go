package forgesim

import (
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
)

// sshInfo is where git is served over ssh, and by which key it is known.
type sshInfo struct {
	addr string
	key  ssh.PublicKey
}

func (i sshInfo) line() string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(i.key))) }

// sshURL is what to clone over ssh; empty where nothing listens.
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
