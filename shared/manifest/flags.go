package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// flag is one flag of launch_params or deploy_params.
type flag struct {
	name, value string
	node        *yaml.Node
	key         string
}

// flags applies what old manifests say in deploy_params and launch_params. As in flyctl, a flag of a
// deploy wins over Fly's key of the same meaning; FlyCD's own keys win over flags, and a flag of a
// launch only says what is left open.
//
// Flags that size new machines or their environment are left to the translation into machines, which
// knows new machines from old ones.
func flags(d *decoder, tree *yaml.Node, app *App) {
	laid := map[string]bool{}
	for _, key := range []string{"deploy_params", "launch_params"} {
		for _, f := range readFlags(key, lookup(tree, key)) {
			if f.name == "build-secret" {
				d.report(f.node, key, "--build-secret holds a value that everyone can read who reads this file; list its name under build.secrets, and under secrets where the value comes from")
				continue
			}
			if f.name == "build-arg" && !strings.Contains(f.value, "=") {
				d.report(f.node, key, fmt.Sprintf("--build-arg: expected NAME=VALUE, found %q", clip(f.value)))
				continue
			}
			if !f.apply(app, laid) && !elsewhere(f.name) {
				d.warn(f.node, key, fmt.Sprintf("--%s has no meaning for FlyCD and is ignored", clip(f.name)))
			}
		}
	}
}

// readFlags reads a list of arguments: --name=value, --name value, -n value.
func readFlags(key string, list *yaml.Node) []flag {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var out []flag
	for i := 0; i < len(list.Content); i++ {
		arg := list.Content[i]
		text := scalarText(arg)
		if !strings.HasPrefix(text, "-") {
			continue
		}
		name, value, has := strings.Cut(strings.TrimLeft(text, "-"), "=")
		if !has && !alone(name) && i+1 < len(list.Content) && !strings.HasPrefix(scalarText(list.Content[i+1]), "-") {
			i++
			value = scalarText(list.Content[i])
		}
		out = append(out, flag{name: name, value: value, node: arg, key: key})
	}
	return out
}

// apply puts a flag's meaning into the app where no key has said it; it reports whether it knows the
// flag.
func (f flag) apply(app *App, laid map[string]bool) bool {
	switch f.name {
	case "name", "app", "a":
		fillText(&app.Name, f.value)
	case "org", "o":
		fillText(&app.Org, f.value)
	case "region", "r", "primary-region":
		fillText(&app.PrimaryRegion, f.value)
	case "ha":
		if on := f.value != "false" && f.value != "0"; app.HA == nil {
			app.HA = &on
		}
	case "strategy":
		if app.DeploySection == nil {
			app.DeploySection = new(DeploySection)
		}
		f.put(&app.DeploySection.Strategy)
	case "image", "i":
		f.put(&app.build().Image)
	case "no-cache":
		app.build().NoCache = f.value != "false"
	case "dockerfile":
		f.put(&app.build().Dockerfile)
	case "ignorefile":
		f.put(&app.build().Ignorefile)
	case "build-target":
		f.put(&app.build().Target)
	case "build-arg":
		app.buildArg(f.value, laid)
	default:
		return f.applyLayers(app)
	}
	return true
}

// applyLayers is apply for what flags say of the image that is built.
func (f flag) applyLayers(app *App) bool {
	switch f.name {
	case "label":
		name, value, _ := strings.Cut(f.value, "=")
		if app.build().Labels == nil {
			app.Build.Labels = map[string]string{}
		}
		if _, written := app.Build.Labels[name]; !written {
			app.Build.Labels[name] = value
		}
	case "compression":
		if !slices.Contains([]string{"gzip", "zstd"}, f.value) {
			return false
		}
		f.put(&app.build().Compression)
	case "compression-level":
		level, err := strconv.Atoi(f.value)
		if err != nil || level < 0 || level > 9 {
			return false
		}
		if f.key == "deploy_params" || app.build().CompressionLevel == nil {
			app.build().CompressionLevel = &level
		}
	default:
		return false
	}
	return true
}

// put writes a flag's value over Fly's key.
func (f flag) put(at *string) {
	if f.key == "deploy_params" {
		*at = f.value
	}
	fillText(at, f.value)
}

func fillText(at *string, value string) {
	if *at == "" {
		*at = value
	}
}

// build gives the app's build section, made where there is none.
func (a *App) build() *Build {
	if a.Build == nil {
		a.Build = new(Build)
	}
	return a.Build
}

// buildArg lays a --build-arg over the arguments; of several for one name the first one stays.
func (a *App) buildArg(pair string, laid map[string]bool) {
	name, value, _ := strings.Cut(pair, "=")
	if laid[name] {
		return
	}
	laid[name] = true
	if a.build().Args == nil {
		a.Build.Args = map[string]string{}
	}
	a.Build.Args[name] = value
}

// elsewhere lists the flags that mean something when machines are made, and those that only told
// flyctl how to talk or how to build.
func elsewhere(name string) bool {
	return slices.Contains([]string{
		"vm-size", "vm-memory", "vm-cpus", "vm-cpu-kind", "volume-initial-size", "env", "e", "wait-timeout", "release-command-timeout",
		"yes", "y", "now", "copy-config", "auto-confirm", "remote-only", "local-only", "depot", "verbose", "json", "config", "c", "push",
		"recreate-builder", "detach", "no-deploy", "dns-checks", "smoke-checks", "buildkit", "buildkit-addr", "buildkit-image", "depot-scope",
		"builder-pool", "build-context-warn-size",
	}, name)
}

// alone lists the flags that take no value after a space.
func alone(name string) bool {
	return slices.Contains([]string{
		"ha", "no-cache", "remote-only", "local-only", "depot", "nixpacks", "yes", "y", "now", "no-deploy", "copy-config", "push",
		"auto-confirm", "verbose", "json", "detach", "smoke-checks", "dns-checks", "no-public-ips", "flycast", "force-machines",
		"generate-name", "no-create", "no-object-storage", "no-db", "no-redis", "legacy", "recreate-builder", "build-only", "buildkit",
	}, name)
}
