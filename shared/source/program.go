package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

const (
	askGitFor   = 30 * time.Second
	closeWithin = 5 * time.Second
	drainBytes  = 1 << 20
)

// askGit asks git's credential helpers. They may not ask the person: there may be none.
func askGit(ctx context.Context, r remote) (Credential, bool) {
	program, err := exec.LookPath("git")
	if err != nil {
		return Credential{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, askGitFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "credential", "fill") //nolint:gosec // git of the person's PATH
	cmd.Env = append(withoutOurs(cmd.Environ()), "GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=never", "GIT_ASKPASS=", "SSH_ASKPASS=")
	cmd.Stdin = strings.NewReader("url=" + r.String() + "\n\n")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return Credential{}, false
	}
	return parseCredential(out)
}

// withoutOurs leaves FlyCD's own settings, and Fly's, out of the environment of a program: their tokens are none of its
// business.
func withoutOurs(environ []string) []string {
	return slices.DeleteFunc(environ, func(v string) bool {
		return strings.HasPrefix(v, "FLYCD_") || strings.HasPrefix(v, "FLY_") || strings.HasPrefix(v, "REDIS_URL=")
	})
}

// parseCredential reads what `git credential fill` prints.
func parseCredential(out []byte) (Credential, bool) {
	var cred Credential
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "username":
			cred.Username = value
		case "password":
			cred.Password = manifest.NewSecret(value)
		}
	}
	return cred, !cred.Password.IsZero()
}

// startSSH lets the ssh program make the connection. It reports false where there is none.
func startSSH(ctx context.Context, r remote, limit int64) (transport.UploadPackSession, bool, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return nil, false, nil //nolint:nilerr // no program is no failure
	}
	s, err := startProgram(exec.CommandContext(ctx, program, sshArgs(r)...), limit) //nolint:gosec // sshArgs keeps options and names apart
	return s, true, err
}

// sshArgs is the command line of ssh: it never asks, and refuses a host whose key is unknown.
func sshArgs(r remote) []string {
	args := []string{"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"}
	if r.port != 0 {
		args = append(args, "-p", strconv.Itoa(r.port))
	}
	host := strings.Trim(r.host, "[]")
	if r.user != "" {
		host = r.user + "@" + host
	}
	return append(args, "--", host, "git-upload-pack "+shellQuote(r.path))
}

func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

// programSession speaks the pack protocol with a program.
type programSession struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
	refs   *packp.AdvRefs
	once   sync.Once
}

func startProgram(cmd *exec.Cmd, limit int64) (*programSession, error) {
	s := &programSession{cmd: cmd, stderr: &tail{}}
	var err error
	if s.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReaderSize(io.LimitReader(out, limit), 64<<10)
	cmd.Stderr = s.stderr
	cmd.Env = withoutOurs(cmd.Environ())
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return s, nil
}

// AdvertisedReferences implements transport.Session.
func (s *programSession) AdvertisedReferences() (*packp.AdvRefs, error) {
	return s.AdvertisedReferencesContext(context.Background())
}

// AdvertisedReferencesContext implements transport.Session. The program ends with the context that it
// was started with.
func (s *programSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	if s.refs != nil {
		return s.refs, nil
	}
	refs := packp.NewAdvRefs()
	if err := refs.Decode(s.out); err != nil {
		if errors.Is(err, packp.ErrEmptyAdvRefs) {
			return nil, transport.ErrEmptyRemoteRepository
		}
		_ = s.Close()
		return nil, sshFailure(s.stderr.String(), err)
	}
	if refs.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	s.refs = refs
	return refs, nil
}

// UploadPack implements transport.UploadPackSession.
func (s *programSession) UploadPack(_ context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	if err := req.UploadRequest.Encode(s.in); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	resp := packp.NewUploadPackResponse(req)
	if err := resp.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return resp, nil
}

// Close implements io.Closer: it lets the program end, and ends it when it does not.
func (s *programSession) Close() error {
	s.once.Do(func() {
		kill := time.AfterFunc(closeWithin, func() { _ = s.cmd.Process.Kill() })
		defer kill.Stop()
		if s.refs != nil {
			_, _ = s.in.Write(pktline.FlushPkt)
		}
		_ = s.in.Close()
		if n, _ := io.Copy(io.Discard, io.LimitReader(s.out, drainBytes)); n == drainBytes {
			_ = s.cmd.Process.Kill()
		}
		_ = s.cmd.Wait() // whatever it says now changes nothing
	})
	return nil
}

// sshFailure says what ssh printed before it gave up.
func sshFailure(stderr string, err error) error {
	text := strings.ToLower(stderr)
	switch {
	case strings.Contains(text, "host key verification failed"):
		return job.Rejectf("ssh refuses the host's key: compare it with the fingerprints that the host publishes, and only if it is one of them add it to known_hosts")
	case strings.Contains(text, "permission denied"):
		return transport.ErrAuthorizationFailed
	case strings.Contains(text, "repository not found"), strings.Contains(text, "does not appear to be a git repository"),
		strings.Contains(text, "does not exist"), strings.Contains(text, "no such project"):
		return transport.ErrRepositoryNotFound
	}
	if line := strings.TrimSpace(stderr); line != "" {
		return fmt.Errorf("ssh: %s: %w", line, err)
	}
	return fmt.Errorf("ssh: %w", err)
}

// tail keeps the last bytes that a program printed.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 2 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailBytes {
		t.buf = bytes.Clone(t.buf[len(t.buf)-tailBytes:])
	}
	return len(p), nil
}

// String gives what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
