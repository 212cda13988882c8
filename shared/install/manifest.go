package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/identity"
	"github.com/gigurra/flycd/shared/image"
)

// sourceVariable is what a secret of the dispatcher is read from: a name that no app of a user could have.
func sourceVariable(name string) string { return "INSTALL_" + name }

// fields are a part of a manifest.
type fields = map[string]any

// dispatcherManifest is the app.yaml of the dispatcher: the same as fly.dispatcher.toml, with what was installed filled
// in. Only the listed secrets stay.
func (w Want) dispatcherManifest(s State, m memory, secrets []string) ([]byte, error) {
	env, err := m.variables()
	if err != nil {
		return nil, err
	}
	roots := make([]string, len(w.Roots))
	for i, root := range w.Roots {
		roots[i] = rootText(root)
	}
	maps.Copy(env, map[string]string{
		envRunnerApp: w.RunnerApp, envRunnerImage: s.Images[Runner].Ref, envRunnerRegion: w.RunnerRegion, envRunnerSize: w.RunnerSize,
		envRoots: strings.Join(roots, ","), envNext: w.Address + "/next", envGrant: w.Address + "/grant", envMachines: w.MachinesURL,
		"FLYCD_FLY_ISSUER":   identity.FlyIssuer(w.Org),
		"FLYCD_ORG":          w.Org,
		"FLYCD_PRIVATE_PORT": "9091", "FLYCD_LOG": "json",
		// most of the memory below: the garbage of large bodies goes before Linux ends the dispatcher
		"GOMEMLIMIT": "180MiB",
	})
	maps.Copy(env, w.Env)
	maps.DeleteFunc(env, func(_, v string) bool { return v == "" })
	refs := make([]fields, len(secrets))
	for i, name := range secrets {
		refs[i] = fields{"name": name, "type": "env", "env": sourceVariable(name)}
	}
	running := 0
	if *w.AlwaysOn {
		running = 1
	}
	text, err := yaml.Marshal(fields{
		"app": w.App, "org": w.Org, "primary_region": w.Region,
		"source":   fields{"type": "image", "image": s.Images[Dispatcher].Ref},
		"machines": fields{"count": 1}, "env": env, "secrets": refs, "secrets_prune": true,
		// requests under way end within 15 s; Fly kills what is left after this
		"kill_signal": "SIGTERM", "kill_timeout": "30s",
		"http_service": fields{
			"internal_port": 8080, "force_https": true, "auto_stop_machines": "stop", "auto_start_machines": true, "min_machines_running": running,
			"concurrency": fields{"type": "requests", "soft_limit": 200, "hard_limit": 1000},
			"checks":      []fields{{"method": "GET", "path": "/healthz", "interval": "15s", "timeout": "2s", "grace_period": "2s"}},
		},
		"metrics":   fields{"port": 9091, "path": "/metrics"},
		"vm":        fields{"size": "shared-cpu-1x", "memory": "256mb"},
		"schedules": []fields{{"name": "sweep", "command": "sweep", "every": "hourly"}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the dispatcher's manifest: %w", err)
	}
	return text, nil
}

// repository is where an app's image is kept.
func (in *Installer) repository(app string) string {
	host := in.Deployer.Registry
	if host == "" {
		host = image.FlyRegistry
	}
	return host + "/" + app
}

// kept are the secrets of the dispatcher that stay as they are, sorted.
func (p Plan) kept(gone []int) []string {
	var names []string
	for name := range p.state.Dispatcher.Secrets {
		slot := slices.ContainsFunc(gone, func(slot int) bool { return slotSecret(slot) == name })
		if _, set := p.needs.dispatcher[name]; !set && !slot {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
