package buildkit

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// config is what buildkitd is told in its buildkitd.toml.
type config struct {
	dir, runc, cgroup string
	resolver          netip.Addr
	insecure          []string
}

func (c config) socket() string { return filepath.Join(c.dir, "bk.sock") }

// String gives the text of buildkitd.toml. What is not named stays off: entitlements (a step can ask neither for the
// host's network nor for its devices), listeners but the one socket, collecting garbage and history, as this
// buildkitd does not outlive a job.
func (c config) String() string {
	var s strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	put("root = %s", quote(filepath.Join(c.dir, "root")))
	put("insecure-entitlements = []")
	put("[log]\nlevel = \"warn\"")
	put("[grpc]\naddress = [%s]", quote("unix://"+c.socket()))
	put("[otel]\nsocketPath = \"/run/otel.sock\"") // in the sandbox's own /run
	put("[cdi]\ndisabled = true")
	put("[history]\nmaxEntries = 0")
	put("[worker.containerd]\nenabled = false")
	put("[worker.oci]\nenabled = true\nplatforms = [\"linux/amd64\"]\nsnapshotter = \"auto\"\ngc = false\nbinary = %s", quote(c.runc))
	if c.cgroup != "" {
		put("defaultCgroupParent = %s", quote(c.cgroup))
	}
	if c.resolver.IsValid() {
		put("[dns]\nnameservers = [%s]", quote(c.resolver.String()))
	}
	for _, host := range c.insecure {
		put("[registry.%s]\nhttp = true", quote(host))
	}
	return s.String()
}

// quote gives a TOML string; what is quoted are paths and hosts.
func quote(s string) string { return strconv.Quote(s) }
