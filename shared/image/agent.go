package image

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/gigurra/flycd/shared/job"
)

// serveKeys serves each key of a build by an agent of its own, on a socket in the private folder: the key stays in this process's
// memory, so that no file of it can outlive the build. What it gives ends the agents, and must be called in any case.
func (c call) serveKeys() (end func(), err error) {
	var listeners []net.Listener
	var serving sync.WaitGroup
	end = func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		serving.Wait()
	}
	for i, id := range slices.Sorted(maps.Keys(c.req.SSH)) {
		keys, err := keyring(id, c.req.SSH[id].Reveal())
		if err != nil {
			return end, err
		}
		l, err := net.Listen("unix", c.socket(i)) //nolint:noctx // a socket in a folder of ours answers at once
		if err != nil {
			return end, fmt.Errorf("serve ssh key %s: %w", id, err)
		}
		listeners = append(listeners, l)
		serving.Go(func() { serveAgent(l, keys) })
	}
	return end, nil
}

func (c call) socket(i int) string { return filepath.Join(c.private, "ssh"+strconv.Itoa(i)) }

// keyring parses a key. One that is none is rejected without a word of what it says.
func keyring(id, text string) (agent.Agent, error) {
	key, err := ssh.ParseRawPrivateKey([]byte(text))
	if err != nil {
		return nil, job.Rejectf("build.ssh: the secret for %q is no private key in PEM form that has no passphrase: "+
			"set it to what ssh-keygen wrote, all lines of it", id)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key, Comment: id}); err != nil {
		return nil, job.Rejectf("build.ssh: the key for %q is of a kind that is not supported: use ed25519, ecdsa or rsa", id)
	}
	return keys, nil
}

// serveAgent answers on a socket until it is closed, and ends the connections that are left then.
func serveAgent(l net.Listener, keys agent.Agent) {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var answering sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		mu.Lock()
		open[conn] = true
		mu.Unlock()
		answering.Go(func() {
			// buildctl lets steps list and sign only; its own end of the socket is ours alone
			_ = agent.ServeAgent(keys, conn)
			_ = conn.Close()
			mu.Lock()
			delete(open, conn)
			mu.Unlock()
		})
	}
	mu.Lock()
	for conn := range open {
		_ = conn.Close()
	}
	mu.Unlock()
	answering.Wait()
}
