package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// control runs the probe outside of any sandbox, with a file of words, and gives what it says.
func control(t *testing.T, verb, words string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, []byte(words), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), probeProgram(t), append([]string{verb, file}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// listen counts who calls an address.
func listen(t *testing.T, network, addr string, calls *atomic.Int32) net.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
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
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	return l.Addr()
}

// ownAddress is an IPv4 address of this machine that is not loopback's.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		// those of sandboxes come and go
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !strings.HasPrefix(n.IP.String(), "198.") {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback's")
	return ""
}

// probeProgram builds what hostile steps run.
func probeProgram(t *testing.T) string {
	t.Helper()
	program, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var probe = sync.OnceValues(func() (string, error) {
	program := filepath.Join(os.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-o", program, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build probe: %w: %s", err, out)
	}
	return program, nil
})
