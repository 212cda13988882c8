package machine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
)

// flags are what old manifests say in launch_params and deploy_params. As in flyctl, a flag of a
// deploy wins over Fly's key of the same meaning, and one of a launch (name, org, region) only fills
// in what the manifest leaves open; FlyCD's own ha wins over --ha.
type flags struct {
	org, name, region, primary, strategy string

	ha            bool
	vm            manifest.VM
	env           map[string]string
	volumeGB      int
	wait, release time.Duration
}

// elsewhere are flags that other rooms read, or that only say how flyctl would talk.
func elsewhere(name string) bool {
	return slices.Contains([]string{
		"image", "no-cache", "build-arg", "build-secret", "build-target", "dockerfile", "ignorefile", "label", "image-label",
		"remote-only", "local-only", "depot", "nixpacks", "buildpacks", "yes", "y", "now", "no-deploy", "copy-config",
		"auto-confirm", "verbose", "json", "app", "a", "config", "c", "push", "recreate-builder",
	}, name)
}

// valueless are flags that stand alone.
func valueless(name string) bool {
	return slices.Contains([]string{
		"ha", "no-cache", "remote-only", "local-only", "depot", "nixpacks", "yes", "y", "now", "no-deploy", "copy-config", "push",
		"auto-confirm", "verbose", "json", "detach", "smoke-checks", "dns-checks", "no-public-ips", "flycast", "force-machines",
		"generate-name", "internal-port", "no-create", "no-object-storage", "no-db", "no-redis", "legacy", "recreate-builder",
	}, name) && name != "internal-port"
}

func (t *translator) readFlags() flags {
	f := flags{env: map[string]string{}}
	for _, list := range []struct {
		key    string
		params []string
	}{{"launch_params", t.app.LaunchParams}, {"deploy_params", t.app.DeployParams}} {
		for name, value := range pairs(list.params) {
			t.readFlag(&f, list.key, name, value)
		}
	}
	return f
}

// pairs gives each flag with its value, written as --name=value, or as --name and value.
func pairs(params []string) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for i := 0; i < len(params); i++ {
			name, value, has := strings.Cut(strings.TrimLeft(params[i], "-"), "=")
			if !has && !valueless(name) && i+1 < len(params) && !strings.HasPrefix(params[i+1], "-") {
				i++
				value = params[i]
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

func (t *translator) readFlag(f *flags, key, name, value string) {
	switch name {
	case "ha":
		f.ha = value == "" || value == "true"
	case "org", "o":
		f.org = value
	case "name":
		f.name = value
	case "region", "r":
		f.region = value
	case "primary-region":
		f.primary = value
	case "strategy":
		f.strategy = value
	case "vm-size":
		f.vm.Size = value
	case "vm-memory":
		f.vm.Memory = value
	case "vm-cpu-kind":
		f.vm.CPUKind = value
	case "vm-cpus":
		f.vm.CPUs = t.flagNumber(key, name, value)
	case "volume-initial-size":
		f.volumeGB = t.flagNumber(key, name, value)
	case "env", "e":
		k, v, _ := strings.Cut(value, "=")
		f.env[k] = v
	case "wait-timeout":
		f.wait = t.flagTime(key, name, value)
	case "release-command-timeout":
		f.release = t.flagTime(key, name, value)
	default:
		if !elsewhere(name) {
			t.warn(key, "--%s has no effect here", name)
		}
	}
}

func (t *translator) flagNumber(key, name, value string) int {
	n, err := strconv.Atoi(value)
	if err != nil {
		t.bad(key, "--%s is %q; it must be a whole number", name, value)
	}
	return n
}

// flagTime reads a duration; a bare number is seconds, as flyctl has it.
func (t *translator) flagTime(key, name, value string) time.Duration {
	if n, err := strconv.Atoi(value); err == nil {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		t.bad(key, "--%s is %q; it must be a duration, such as 5m", name, value)
	}
	return d
}
