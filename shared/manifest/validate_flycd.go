package manifest

import (
	"fmt"
	"io/fs"
	"net/url"
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

func (c checker) network() {
	for i, ip := range c.app.Network.IPs {
		key := fmt.Sprintf("network.ips[%d]", i)
		switch {
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

// rest checks FlyCD's smaller keys.
func (c checker) rest() {
	a := c.app
	for i, cert := range a.Certs {
		if cert.Hostname == "" {
			c.bad(fmt.Sprintf("certs[%d].hostname", i), "is missing; say which host name the certificate is for")
		}
	}
	for i, addon := range a.Addons {
		if addon.Type == "" {
			c.bad(fmt.Sprintf("addons[%d].type", i), "is missing; expected redis, tigris or postgres")
		}
		if addon.Name == "" && addon.URLSecret == "" {
			c.bad(fmt.Sprintf("addons[%d].name", i), "is missing; say what the service is called")
		}
	}
	if slices.Contains(a.DependsOn, a.Name) {
		c.bad("depends_on", "the app depends on itself")
	}
	for i, p := range a.Verify {
		u, err := url.Parse(p.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			c.bad(fmt.Sprintf("verify[%d].url", i), "expected an address such as https://my-app.fly.dev/")
		}
	}
	for i, f := range a.Files {
		c.file(fmt.Sprintf("files[%d]", i), f)
	}
	for i, s := range a.Statics {
		if s.GuestPath == "" {
			c.bad(fmt.Sprintf("statics[%d].guest_path", i), "is missing; say where the files are in the image")
		}
		if s.URLPrefix == "" {
			c.bad(fmt.Sprintf("statics[%d].url_prefix", i), "is missing; say under which path the files are served")
		}
	}
}

func (c checker) file(key string, f File) {
	if f.GuestPath == "" {
		c.bad(key+".guest_path", "is missing; say where the file is written")
	}
	if f.LocalPath == "" && f.SecretName == "" && f.RawValue == "" {
		c.bad(key, "expected local_path, secret_name or raw_value")
	}
}
