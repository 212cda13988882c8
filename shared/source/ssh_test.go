package source_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// sshServer is a real ssh server that runs git-upload-pack for one key.
type sshServer struct {
	addr       string
	knownHosts string
	key        string
}

func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func startSSHServer(t *testing.T) sshServer {
	t.Helper()
	program := needGit(t)
	host, _ := newKey(t)
	user, pemText := newKey(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) == string(user.PublicKey().Marshal()) {
			return &ssh.Permissions{}, nil
		}
		return nil, fmt.Errorf("unknown key")
	}}
	config.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSH(conn, config, program)
		}
	}()
	known := filepath.Join(t.TempDir(), "known_hosts")
	write(t, known, knownhosts.Line([]string{knownhosts.Normalize(l.Addr().String())}, host.PublicKey())+"\n")
	return sshServer{l.Addr().String(), known, pemText}
}

func serveSSH(conn net.Conn, config *ssh.ServerConfig, program string) {
	defer conn.Close() //nolint:errcheck // a test's connection
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		c, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close() //nolint:errcheck // a test's connection
			for req := range reqs {
				if req.Type != "exec" {
					_ = req.Reply(req.WantReply, nil)
					continue
				}
				_ = req.Reply(true, nil)
				command := string(req.Payload[4:])
				path, _ := strings.CutPrefix(command, "git-upload-pack ")
				cmd := exec.Command(program, "-c", "safe.directory=*", "-c", "uploadpack.allowAnySHA1InWant=true", "-c", "uploadpack.allowFilter=true",
					"upload-pack", strings.Trim(path, "'"))
				cmd.Stdout, cmd.Stderr = c, c.Stderr()
				// as sshd, it does not wait for the client's end of input
				in, err := cmd.StdinPipe()
				if err != nil || cmd.Start() != nil {
					return
				}
				go func() {
					_, _ = io.Copy(in, c)
					_ = in.Close()
				}()
				code := uint32(0)
				if cmd.Wait() != nil {
					code = 1
				}
				_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
				return
			}
		}()
	}
}

type sshKey struct{ pem string }

func (k sshKey) Credential(context.Context, string) (source.Credential, error) {
	return source.Credential{SSHKey: manifest.NewSecret(k.pem)}, nil
}

func TestSSHWithAKeyAndPinnedHosts(t *testing.T) {
	s := startSSHServer(t)
	r := newRepo(t)
	first := r.commit(map[string]string{"app/a": "1", "other/b": "1"})
	second := r.commit(map[string]string{"app/a": "2"})
	url := "ssh://git@" + s.addr + r.dir
	c := client(t)
	c.Auth, c.KnownHosts = sshKey{s.key}, []string{s.knownHosts, "/nonexistent"}
	got, err := c.Resolve(t.Context(), url, manifest.Ref{Branch: "main"})
	if err != nil || got.Hash != second {
		t.Fatalf("got %v %v, want %s", got, err, second)
	}
	if text := read(t, fetch(t, c, url, first), "app/a"); text != "1" {
		t.Errorf("app/a = %q", text)
	}
	if text := read(t, fetch(t, c, url, second, "app"), "app/a"); text != "2" {
		t.Errorf("app/a = %q", text)
	}
	_, err = c.Resolve(t.Context(), "ssh://git@"+s.addr+"/no/such/repo", manifest.Ref{})
	wantRejected(t, err, "does not exist")
	_, err = c.Fetch(t.Context(), url, source.Commit{Hash: strings.Repeat("ab", 20)})
	wantRejected(t, err, "does not have commit")

	unknown := client(t)
	unknown.Auth = sshKey{s.key}
	_, err = unknown.Resolve(t.Context(), url, manifest.Ref{})
	wantRejected(t, err, "host's key is unknown")

	other, _ := newKey(t)
	changed := filepath.Join(t.TempDir(), "known_hosts")
	write(t, changed, knownhosts.Line([]string{knownhosts.Normalize(s.addr)}, other.PublicKey())+"\n")
	c.KnownHosts = []string{changed}
	_, err = c.Resolve(t.Context(), url, manifest.Ref{})
	wantRejected(t, err, "not the one that is known")

	_, stranger := newKey(t)
	c.Auth, c.KnownHosts = sshKey{stranger}, []string{s.knownHosts}
	_, err = c.Resolve(t.Context(), url, manifest.Ref{})
	wantRejected(t, err, "access denied")
	c.Auth = sshKey{"-----BEGIN NONSENSE-----"}
	_, err = c.Resolve(t.Context(), url, manifest.Ref{})
	wantRejected(t, err, "cannot be read")
	if strings.Contains(err.Error(), "NONSENSE") {
		t.Errorf("the error tells the key: %v", err)
	}
}

func TestSSHProgramOfAPersonsMachine(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			t.Fatal("ssh is not installed")
		}
		t.Skip("ssh is not installed")
	}
	s := startSSHServer(t)
	r := newRepo(t)
	h := r.commit(map[string]string{"app/a": "1", "b": "2"})
	// a program called ssh on the PATH stands for the person's configuration, which ssh finds by the
	// password file's home and not by $HOME
	real, _ := exec.LookPath("ssh")
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte(s.key), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config")
	write(t, config, fmt.Sprintf("Host *\n IdentityFile %s\n IdentitiesOnly yes\n UserKnownHostsFile %s\n", keyFile, s.knownHosts))
	wrapper := filepath.Join(dir, "ssh")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec "+real+" -F "+config+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	c := client(t)
	c.Git = true
	url := "ssh://git@" + s.addr + r.dir
	if text := read(t, fetch(t, c, url, h), "app/a"); text != "1" {
		t.Errorf("app/a = %q", text)
	}
	if text := read(t, fetch(t, c, url, h, "app"), "app/a"); text != "1" {
		t.Errorf("app/a = %q", text)
	}
	got, err := c.Resolve(t.Context(), url, manifest.Ref{})
	if err != nil || got.Hash != h {
		t.Errorf("got %v %v", got, err)
	}
	_, err = c.Resolve(t.Context(), "ssh://git@"+s.addr+"/no/such", manifest.Ref{})
	wantRejected(t, err, "does not exist")
	_, err = c.Fetch(t.Context(), url, source.Commit{Hash: strings.Repeat("ab", 20)})
	wantRejected(t, err, "does not have commit")
	write(t, s.knownHosts, "")
	_, err = c.Resolve(t.Context(), url, manifest.Ref{})
	wantRejected(t, err, "ssh refuses the host's key")
}

func TestGitHubsKeysArePublishedOnes(t *testing.T) {
	want := map[string]bool{
		"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU": true,
		"SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM": true,
		"SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s": true,
	}
	rest, err := os.ReadFile("known_hosts")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		_, hosts, key, _, more, err := ssh.ParseKnownHosts(rest)
		if err != nil {
			if n != len(want) {
				t.Errorf("%d keys, want %d: %v", n, len(want), err)
			}
			return
		}
		if got := ssh.FingerprintSHA256(key); !want[got] || hosts[0] != "github.com" {
			t.Errorf("%v has %s, which is none of the published ones", hosts, got)
		}
		rest = more
	}
}
