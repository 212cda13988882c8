package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/docker/go-units"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/buildkit"
	"github.com/gigurra/flycd/shared/image/sandbox"
	"github.com/gigurra/flycd/shared/manifest"
)

// logins are those of the registries: Fly's, and what was given for others.
func (c config) logins() (map[string]image.Login, error) {
	logins, err := image.ParseLogins(c.Logins)
	if err != nil {
		return nil, fmt.Errorf("FLYCD_REGISTRY_LOGINS: %w", err)
	}
	all := map[string]image.Login{c.RegistryHost: {Username: "x", Password: manifest.NewSecret(c.APIToken)}}
	maps.Copy(all, logins)
	return all, nil
}

// limits bound a build; zero is the sandbox's own share.
func (c config) limits() (sandbox.Limits, error) {
	var l sandbox.Limits
	for _, f := range []struct {
		name, value string
		to          *int64
	}{{"FLYCD_BUILD_MEMORY", c.BuildMemory, &l.Memory}, {"FLYCD_BUILD_DISK", c.BuildDisk, &l.Disk}} {
		if f.value == "" {
			continue
		}
		n, err := units.RAMInBytes(f.value)
		if err != nil || n <= 0 {
			return l, fmt.Errorf("%s=%q: expected a size such as 2g or 512m", f.name, f.value)
		}
		*f.to = n
	}
	return l, nil
}

// allow are the private addresses that builds may reach.
func (c config) allow() ([]netip.AddrPort, error) {
	var all []netip.AddrPort
	for part := range strings.SplitSeq(c.BuildAllow, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		addr, err := netip.ParseAddrPort(part)
		if err != nil || !addr.Addr().Is4() {
			return nil, fmt.Errorf("FLYCD_BUILD_ALLOW: %q: expected IP:PORT with an IPv4 address, such as 10.0.0.5:5000", part)
		}
		all = append(all, addr)
	}
	return all, nil
}

// newBuilder chooses how images are built. What it gives is closed after the job. The settings were judged when
// they were read.
func (c config) newBuilder(log *slog.Logger) (image.Builder, func() error, error) {
	logins, _ := c.logins()
	flyctl := image.Flyctl{Token: manifest.NewSecret(c.APIToken), Registry: c.RegistryHost, Images: image.Registry{Logins: logins}}
	end := func() error { return nil }
	var b image.Backends
	if c.Builder == "flyctl" || installed("flyctl") || installed("fly") {
		b.Fly = flyctl
	}
	switch {
	case c.Builder == "fact":
		return image.Fact{Registry: c.RegistryHost}, end, nil
	case c.Builder == "flyctl":
	case c.Builder == "buildctl" || c.Builder == "" && c.BuildkitHost != "":
		b.BuildKit = image.Buildctl{Addr: c.BuildkitHost, Registry: c.RegistryHost, Logins: logins}
	case c.Builder == "buildkit" || installed("buildkitd"):
		own, err := newFolder()
		if err != nil {
			return nil, nil, err
		}
		limits, _ := c.limits()
		allow, _ := c.allow()
		kit := &buildkit.Builder{Dir: own.dir, Registry: c.RegistryHost, Logins: logins, Limits: limits, Allow: allow, Log: log}
		b.BuildKit, end = kit, func() error { return errors.Join(kit.Close(), own.close()) }
	}
	return b, end, nil
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
