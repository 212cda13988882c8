package manifest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// isDir reports whether a folder exists in the repository.
func (repo *repository) isDir(dir string) bool {
	if _, walked := repo.folders[dir]; walked {
		return true
	}
	info, err := fs.Stat(repo.fsys, dir)
	return err == nil && info.IsDir()
}

// mostVolumes is as many as a group may have machines in a region.
const mostVolumes = 1000

func (c checker) volumes() {
	names := map[string]bool{}
	for i, v := range c.app.Volumes {
		key := fmt.Sprintf("volumes[%d]", i)
		switch {
		case v.Name == "":
			c.bad(key+".name", "is missing; mounts refer to it")
		case names[v.Name]:
			c.bad(key+".name", "%q is listed twice", clip(v.Name))
		}
		names[v.Name] = true
		if r := v.SnapshotRetention; r != nil && (*r < 1 || *r > 60) {
			c.bad(key+".snapshot_retention", "expected 1 to 60 days, found %d", *r)
		}
		if n := v.Count; n != nil && *n > mostVolumes {
			c.bad(key+".count", "expected at most %d, found %d", mostVolumes, *n)
		}
	}
}

func (c checker) secrets() {
	names := map[string]bool{}
	for i, s := range c.app.Secrets {
		key := fmt.Sprintf("secrets[%d]", i)
		switch {
		case s.Name == "":
			c.bad(key+".name", "is missing; say what the secret is called in the app")
		case names[s.Name]:
			c.bad(key+".name", "%q is listed twice", clip(s.Name))
		}
		names[s.Name] = true
		switch s.Type {
		case "":
			c.bad(key+".type", "is missing; expected env, raw, sops or file")
		case "env":
			c.variable(key, s)
		case "raw":
			c.note(key+".raw", "a secret in plain text is for tests only; use env, sops or file")
		case "sops", "file":
			if s.File == "" {
				c.bad(key+".file", "is missing; say which file holds the secret")
			} else if strings.HasPrefix(s.File, "/") && s.Type == "sops" {
				c.bad(key+".file", "expected a file relative to this one, not an absolute path")
			}
		}
	}
}

// variable wants the variable of the runner to be one that apps can read.
func (c checker) variable(key string, s SecretRef) {
	key, name := key+".name", s.Name
	if s.Env != "" {
		key, name = strings.TrimSuffix(key, "name")+"env", s.Env
	}
	if ReservedVariable(name) {
		c.bad(key, "%s of the runner's environment is FlyCD's own and no app's; give the runner the app's value under another name, and say so here (env: MY_APP_%s)", clip(name), clip(name))
	}
}

// ReservedVariable reports whether a variable of the runner's environment is FlyCD's own, Fly's, sops's, or another
// that gives power over them or over the machine: no app can read it, whatever the runner allows.
func ReservedVariable(name string) bool {
	for _, prefix := range []string{"FLY_", "FLYCD_", "SOPS_", "REDIS_URL"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"GNUPGHOME", "BUILDKIT_HOST", "DOCKER_CONFIG", "SSH_AUTH_SOCK"}, name)
}

func (c checker) network() {
	for i, ip := range c.app.Network.IPs {
		key := fmt.Sprintf("network.ips[%d]", i)
		switch {
		case ip.Egress && (ip.Shared || ip.Private || ip.Network != "" || ip.Org != ""):
			c.bad(key+".egress", "goes only with v and region; it is an address of its own kind")
		case ip.Egress && ip.Region == "" && c.app.PrimaryRegion == "":
			c.bad(key+".region", "is missing; say in which region machines call out from it")
		case ip.Egress:
		case ip.V == "":
			c.bad(key+".v", "is missing; expected v4 or v6")
		case ip.V == "v6" && ip.Shared:
			c.bad(key+".shared", "a v6 address cannot be shared; only v4 can")
		case ip.V == "v6":
		case ip.Private:
			c.bad(key+".private", "a v4 address cannot be private; only v6 can")
		case ip.Network != "":
			c.bad(key+".network", "a v4 address has no network; only a private v6 has one")
		case ip.Org != "":
			c.bad(key+".org", "a v4 address has no org; only a private v6 has one")
		case ip.Region != "":
			c.bad(key+".region", "a v4 address has no region; only v6 has one")
		}
	}
}

// served checks what is put into machines and what Fly's proxy serves itself.
func (c checker) served() {
	for i, f := range c.app.Files {
		c.file(fmt.Sprintf("files[%d]", i), f)
	}
	prefixes := map[string]int{}
	for i, s := range c.app.Statics {
		key := fmt.Sprintf("statics[%d]", i)
		switch {
		case s.GuestPath == "":
			c.bad(key+".guest_path", "is missing; say where the files are in the image")
		case !strings.HasPrefix(s.GuestPath, "/") && s.TigrisBucket == "":
			c.bad(key+".guest_path", "is %q, and flyctl would upload that folder; put the files into the image and write their absolute path, or name the bucket that they are in (tigris_bucket)", clip(s.GuestPath))
		}
		if s.URLPrefix == "" {
			c.bad(key+".url_prefix", "is missing; say under which path the files are served")
		} else if first, twice := prefixes[s.URLPrefix]; twice {
			c.ignored(key+".url_prefix", "is that of statics[%d] too, and only one of them is served; give each a path of its own", first)
		}
		prefixes[s.URLPrefix] = i
	}
}

func (c checker) file(key string, f File) {
	if f.GuestPath == "" {
		c.bad(key+".guest_path", "is missing; say where the file is written")
	}
	var written []string
	for name, value := range map[string]string{"local_path": f.LocalPath, "secret_name": f.SecretName, "raw_value": f.RawValue} {
		if value != "" {
			written = append(written, name)
		}
	}
	n := nodeAt(c.tree, key)
	emptied := hasKey(n, "local_path") || hasKey(n, "secret_name") || hasKey(n, "raw_value")
	switch {
	case len(written) == 0 && !emptied:
		c.bad(key, "expected local_path, secret_name or raw_value")
	case len(written) > 1:
		slices.Sort(written)
		c.ignored(key, "has %s, of which only one is taken; write one of them", strings.Join(written, " and "))
	}
}
