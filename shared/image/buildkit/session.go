package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// attachables are what buildkitd may ask its client for while a build runs, and no longer.
func attachables(logins map[string]image.Login, req image.Request) ([]session.Attachable, error) {
	values := make(map[string][]byte, len(req.Secrets))
	for id, v := range req.Secrets {
		values[id] = []byte(v.Reveal())
	}
	keys, err := keyrings(req.SSH)
	if err != nil {
		return nil, err
	}
	return []session.Attachable{doorman{logins: logins}, secretsprovider.FromMap(values), keys}, nil
}

// doorman answers which login opens a registry. It hands out no tokens: buildkitd fetches them itself with the login, as it
// does for every client that does not offer to.
type doorman struct {
	auth.UnimplementedAuthServer
	logins map[string]image.Login
}

// Register implements session.Attachable.
func (d doorman) Register(s *grpc.Server) { auth.RegisterAuthServer(s, d) }

// Credentials implements auth.AuthServer. A registry without a login is asked anonymously.
func (d doorman) Credentials(ctx context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	for _, host := range names(req.GetHost()) {
		login, ok := d.logins[host]
		if !ok {
			continue
		}
		login, err := login.Open(ctx, host, http.DefaultTransport)
		if err != nil {
			return nil, err
		}
		return &auth.CredentialsResponse{Username: login.Username, Secret: login.Password.Reveal()}, nil
	}
	return &auth.CredentialsResponse{}, nil
}

// names are those under which a registry's login may be kept: Docker Hub's host is not what it is called by.
func names(host string) []string {
	if host == "registry-1.docker.io" {
		return []string{host, "index.docker.io", "docker.io"}
	}
	return []string{host}
}

// rings are the ssh keys that steps may sign with, by id. A step gets a socket that leads here; the keys stay.
type rings struct {
	sshforward.UnimplementedSSHServer
	byID map[string]agent.Agent
}

// keyrings parses the keys. A key that is none is rejected, without a word of what it says.
func keyrings(keys map[string]manifest.Secret) (rings, error) {
	r := rings{byID: map[string]agent.Agent{}}
	for id, secret := range keys {
		key, err := ssh.ParseRawPrivateKey([]byte(secret.Reveal()))
		if err != nil {
			return rings{}, job.Rejectf("build.ssh: the secret for %q is no private key in PEM form that has no passphrase: "+
				"set it to what ssh-keygen wrote, all lines of it", id)
		}
		ring := agent.NewKeyring()
		if err := ring.Add(agent.AddedKey{PrivateKey: key, Comment: id}); err != nil {
			return rings{}, job.Rejectf("build.ssh: the key for %q is of a kind that is not supported: use ed25519, ecdsa or rsa", id)
		}
		r.byID[id] = readOnly{ring}
	}
	return r, nil
}

// Register implements session.Attachable.
func (r rings) Register(s *grpc.Server) { sshforward.RegisterSSHServer(s, r) }

// CheckAgent implements sshforward.SSHServer.
func (r rings) CheckAgent(_ context.Context, req *sshforward.CheckAgentRequest) (*sshforward.CheckAgentResponse, error) {
	if _, err := r.find(req.GetID()); err != nil {
		return nil, err
	}
	return &sshforward.CheckAgentResponse{}, nil
}

// ForwardAgent implements sshforward.SSHServer: it is the agent at the other end of a step's socket.
func (r rings) ForwardAgent(stream sshforward.SSH_ForwardAgentServer) error {
	id := ""
	if md, ok := metadata.FromIncomingContext(stream.Context()); ok {
		if ids := md.Get(sshforward.KeySSHID); len(ids) > 0 {
			id = ids[0]
		}
	}
	ring, err := r.find(id)
	if err != nil {
		return err
	}
	if err := agent.ServeAgent(ring, &wire{stream: stream}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("serve ssh keys: %w", err)
	}
	return nil
}

func (r rings) find(id string) (agent.Agent, error) {
	if id == "" {
		id = sshforward.DefaultID
	}
	if ring, ok := r.byID[id]; ok {
		return ring, nil
	}
	return nil, status.Errorf(codes.NotFound, "there is no ssh key %q: name it in build.ssh", id)
}

// wire makes a stream of messages one of bytes.
type wire struct {
	stream sshforward.SSH_ForwardAgentServer
	rest   []byte
}

func (w *wire) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		m, err := w.stream.Recv()
		if err != nil {
			return 0, err
		}
		w.rest = m.GetData()
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	if err := w.stream.Send(&sshforward.BytesMessage{Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// readOnly is an agent whose keys a step can neither change nor lock.
type readOnly struct{ agent.Agent }

func (readOnly) Add(agent.AddedKey) error   { return errReadOnly() }
func (readOnly) Remove(ssh.PublicKey) error { return errReadOnly() }
func (readOnly) RemoveAll() error           { return errReadOnly() }
func (readOnly) Lock([]byte) error          { return errReadOnly() }
func (readOnly) Unlock([]byte) error        { return errReadOnly() }

func errReadOnly() error { return errors.New("the keys of a build cannot be changed") }
