package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/queue"
)

// runnerName is how this binary knows that it was started as a runner of a machine of its own.
const runnerName = "runner-of-a-test"

// TestMain is also the main of runners that are processes. After the tests, nothing of all the builds is left.
func TestMain(m *testing.M) {
	if os.Args[0] == runnerName {
		os.Args = os.Args[:1]
		main()
	}
	// a runner of these tests starts its builds' sandboxes from this binary
	sandbox.Main()
	temp, err := os.MkdirTemp("", "fr") // short, as sockets are below it
	if err == nil {
		err = os.Setenv("TMPDIR", temp)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	if left := traces(os.Getpid(), temp); code == 0 && len(left) > 0 {
		fmt.Fprintln(os.Stderr, "the builds left behind:\n"+strings.Join(left, "\n"))
		code = 1
	}
	_ = os.RemoveAll(temp)
	os.Exit(code)
}

// traces lists what builds of a runner have of the machine: links, tables, cgroups, mounts, processes and folders in
// its folder for temporary files.
func traces(pid int, temp string) []string {
	var left []string
	name := fmt.Sprintf("fcd%dx", pid)
	if links, err := netlink.LinkList(); err == nil {
		for _, l := range links {
			left = append(left, l.Attrs().Name)
		}
	}
	if conn, err := nftables.New(); err == nil {
		tables, _ := conn.ListTables()
		for _, t := range tables {
			left = append(left, "table "+t.Name)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		groups, _ := filepath.Glob(pattern)
		left = append(left, groups...)
	}
	left = slices.DeleteFunc(left, func(s string) bool { return !strings.Contains(s, name) })
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, temp) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	folders, _ := filepath.Glob(filepath.Join(temp, "flycd-*"))
	return append(left, folders...)
}

// machine is a runner in a process of its own, as in a machine that was made for its job.
type machine struct {
	t     *testing.T
	cmd   *exec.Cmd
	temp  string
	said  *lines
	ended chan struct{}
}

// lines is a buffer that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts a runner for what was launched.
func (b *builds) start(l queue.Launch, more ...string) *machine {
	b.t.Helper()
	temp, err := os.MkdirTemp("", "m") // short, as sockets are below it
	if err != nil {
		b.t.Fatal(err)
	}
	m := &machine{t: b.t, temp: temp, said: &lines{}, ended: make(chan struct{})}
	m.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: []string{runnerName}, Env: append([]string{"TMPDIR=" + temp}, b.vars(l, more...)...), Stdout: m.said, Stderr: m.said}
	if err := m.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	b.t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		<-m.ended
		_ = os.RemoveAll(temp)
	})
	return m
}

// wait waits until the runner has ended.
func (m *machine) wait() {
	m.t.Helper()
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatalf("the runner does not end:\n%s", m.said)
	}
}

// descendants are the processes that were started by the runner, and by those.
func (m *machine) descendants() map[int]string {
	parents, names := map[int]int{}, map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		head, rest, _ := bytes.Cut(text, []byte(" ("))
		end := bytes.LastIndexByte(rest, ')')
		fields := bytes.Fields(rest[end+1:])
		pid, _ := strconv.Atoi(string(head))
		// a zombie waits only to be buried
		if parent, err := strconv.Atoi(string(fields[1])); err == nil && string(fields[0]) != "Z" {
			parents[pid], names[pid] = parent, string(rest[:end])
		}
	}
	found := map[int]string{}
	for pid, name := range names {
		for at, ok := pid, true; ok && at != 0; at, ok = parents[at] {
			if parents[at] == m.cmd.Process.Pid {
				found[pid] = name
			}
		}
	}
	return found
}
