package plan

import (
	"maps"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/machine"
)

const standbyFor = "FLY_STANDBY_FOR"

// replaced are the sections that the manifest says all of: what it does not say is gone.
func replaced() []string {
	return []string{"image", "metrics", "services", "checks", "env", "statics", "mounts", "stop_config", "files", "restart", "containers"}
}

// complete gives the group's config with all that only the deploy knows: image, files, FlyCD's own
// metadata and environment.
func (d *decider) complete(g machine.Group) (*flygo.MachineConfig, error) {
	config, err := clone(g.Config)
	if err != nil {
		return nil, err
	}
	config.Image = d.want.Image
	config.Files = d.want.Target.Files
	config.Metadata = union(config.Metadata, d.want.Metadata)
	for key, value := range map[string]string{MetaSecrets: sealText(d.secrets.seal), MetaAddons: d.addons} {
		if value != "" {
			config.Metadata[key] = value
		}
	}
	config.Env = union(config.Env, d.want.Env)
	for _, c := range config.Containers {
		if c.Name == g.Container {
			c.Image = d.want.Image
		}
	}
	return config, nil
}

func union(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}

// lay gives the config that an existing machine should have: the wanted one laid over what Fly
// sent. Sections of the manifest are replaced, metadata is joined, and whatever else the machine
// has is kept, known to fly-go or not.
func lay(have object, config *flygo.MachineConfig) (object, error) {
	want, err := objectOf(config)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(have)
	for key, value := range want {
		if key != "init" && key != "metadata" {
			out[key] = value
		}
	}
	for _, key := range replaced() {
		set(out, want, key)
	}
	layInit(out, child(want, "init"))
	layMetadata(out, child(want, "metadata"))
	layMounts(out, list(have, "mounts"), list(want, "mounts"))
	if len(list(have, "standbys")) > 0 {
		layStandby(out, have, len(config.Services) > 0)
	}
	return out, nil
}

// set takes a key over from another object; what is absent or empty there is gone.
func set(to, from object, key string) {
	if value, ok := from[key]; ok && !empty(value) {
		to[key] = value
		return
	}
	delete(to, key)
}

// layInit replaces what a manifest can say of init and keeps the rest (tty, kernel_args).
func layInit(out, want object) {
	init := maps.Clone(child(out, "init"))
	if init == nil {
		init = object{}
	}
	for _, key := range []string{"cmd", "entrypoint", "exec", "swap_size_mb"} {
		set(init, want, key)
	}
	for key, value := range want {
		init[key] = value
	}
	out["init"] = init
}

// layMetadata joins the wanted metadata to what is there. Old keys of FlyCD's own go, but for those
// that say whose place the machine takes.
func layMetadata(out, want object) {
	metadata := maps.Clone(child(out, "metadata"))
	if metadata == nil {
		metadata = object{}
	}
	maps.DeleteFunc(metadata, func(key string, _ any) bool {
		return strings.HasPrefix(key, "flycd_") && key != MetaReplaces && key != MetaGreen
	})
	maps.Copy(metadata, want)
	out["metadata"] = metadata
}

// remember writes down the version that is updated, where the job has not updated the machine before.
func remember(out, have object, version string) {
	metadata, old := child(out, "metadata"), child(have, "metadata")
	switch id := text(metadata, MetaJob); {
	case id == "":
	case text(old, MetaJob) != id && version != "":
		metadata[MetaPrevious] = version
	case text(old, MetaPrevious) != "":
		metadata[MetaPrevious] = text(old, MetaPrevious)
	}
}

// layStandby keeps a standby what it is, unless its group has services now: then it becomes a
// machine like the others.
func layStandby(out, have object, services bool) {
	if services {
		delete(out, "standbys")
		return
	}
	if value, ok := child(have, "env")[standbyFor]; ok {
		env := maps.Clone(child(out, "env"))
		if env == nil {
			env = object{}
		}
		env[standbyFor] = value
		out["env"] = env
	}
}

// layMounts keeps the mount that is there, with its volume, and takes the path and the automatic
// extension from the manifest. Whether the machine can keep it at all was decided before.
func layMounts(out object, have, want []any) {
	if len(have) == 0 || len(want) == 0 {
		return
	}
	old, _ := have[0].(object)
	wanted, _ := want[0].(object)
	mount := maps.Clone(old)
	if mount == nil {
		mount = object{}
	}
	for _, key := range []string{"path", "extend_threshold_percent", "add_size_gb", "size_gb_limit"} {
		set(mount, wanted, key)
	}
	out["mounts"] = []any{mount}
}
