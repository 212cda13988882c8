package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/image/sandbox"
)

// traces lists what the machine has for sandboxes whose name begins so.
func traces(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		links, err = netlink.LinkList()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, name) {
			found = append(found, "link "+l.Attrs().Name)
		}
	}
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if strings.HasPrefix(table.Name, name) {
			found = append(found, "table "+table.Name)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		groups, err := filepath.Glob(pattern + name + "*")
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, groups...)
	}
	return found
}

func TestCloseGivesEverythingBack(t *testing.T) {
	imagetest.NeedRoot(t)
	own := fmt.Sprintf("fcd%dx", os.Getpid())
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	box, _ := start(t, sandbox.Spec{}, "wait")
	if len(traces(t, own)) == 0 {
		t.Fatal("no trace of a running sandbox")
	}
	during, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if string(during) != string(mounts) {
		t.Errorf("mounts of the sandbox are seen outside:\n%s", during)
	}
	for range 2 {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := traces(t, own); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	imagetest.NeedRoot(t)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := sandbox.Start(t.Context(), sandbox.Spec{Dir: dir, Path: broken})
	if err == nil || !strings.Contains(err.Error(), "exec format error") {
		t.Errorf("err is %v", err)
	}
	if left := traces(t, fmt.Sprintf("fcd%dx", os.Getpid())); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
