package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// claim is one thing that an app wants, of which a policy may speak.
type claim struct {
	right right
	// key is where the manifest says so.
	key string
	// name is what patterns are compared with, and more the name of a service.
	name, more string
	// own is true of a service that is named after the app.
	own bool
	// memory is that of a machine, in MB, and brings what its size has without further words.
	memory, brings int
	// why says what is not known of it: only who allows everything allows it.
	why string
}

// personal is the organisation of an app where nobody names one.
const personal = "personal"

// claims gives what an app wants.
func (a *App) claims(f manifestFile, org string) []claim {
	out := []claim{{right: rightApps, key: "app", name: a.Name}}
	out = append(out, a.orgClaims(org)...)
	out = append(out, a.regionClaims()...)
	out = append(out, a.repoClaims()...)
	out = append(out, a.addonClaims()...)
	for i, s := range a.Secrets {
		switch key := fmt.Sprintf("secrets[%d]", i); s.Type {
		case "env":
			out = append(out, claim{right: rightSecrets, key: key, name: cmp.Or(s.Env, s.Name)})
		case "sops":
			out = append(out, claim{right: rightSecrets, key: key, name: "sops:" + path.Join(f.dir(), s.File)})
		}
	}
	return append(out, a.sizeClaims()...)
}

func (a *App) orgClaims(org string) []claim {
	out := []claim{{right: rightOrgs, key: "org", name: cmp.Or(a.Org, org, personal)}}
	for i, ip := range a.Network.IPs {
		if ip.Org != "" {
			out = append(out, claim{right: rightOrgs, key: fmt.Sprintf("network.ips[%d].org", i), name: ip.Org})
		}
	}
	return out
}

// regionClaims are all regions that are named; also flags that another key may win over are taken at their word.
func (a *App) regionClaims() []claim {
	var out []claim
	add := func(key, region string) {
		if region != "" {
			out = append(out, claim{right: rightRegions, key: key, name: region})
		}
	}
	add("primary_region", a.PrimaryRegion)
	for _, m := range a.mentions("region", "r", "primary-region") {
		if m.value != a.PrimaryRegion {
			add(m.list, m.value)
		}
	}
	primary := len(out) > 0
	for i, region := range a.ExtraRegions {
		add(fmt.Sprintf("extra_regions[%d]", i), region)
	}
	if !primary && (len(out) == 0 || a.leansOnPrimary()) {
		out = append(out, claim{right: rightRegions, key: "primary_region", why: "is not written, and Fly would choose one"})
	}
	for i, s := range a.Schedules {
		add(fmt.Sprintf("schedules[%d].region", i), s.Region)
	}
	for i, ip := range a.Network.IPs {
		add(fmt.Sprintf("network.ips[%d].region", i), ip.Region)
	}
	for i, addon := range a.Addons {
		add(fmt.Sprintf("addons[%d].region", i), addon.Region)
	}
	return out
}

// leansOnPrimary reports whether something runs in the primary region, whatever the extra regions are.
func (a *App) leansOnPrimary() bool {
	return slices.ContainsFunc(a.Schedules, func(s Schedule) bool { return s.Region == "" }) ||
		slices.ContainsFunc(a.Addons, func(x Addon) bool { return x.Region == "" && x.URLSecret == "" })
}

func (a *App) repoClaims() []claim {
	var out []claim
	if a.Source.Type == "git" {
		out = append(out, repoClaim("source.repo", a.Source.Repo))
	}
	for key, ref := range a.images() {
		if c := imageClaim(key, ref); ref != "" && c.name != "registry.fly.io/"+a.Name {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b claim) int { return strings.Compare(a.key, b.key) })
	for key, text := range a.machineConfigs() {
		out = append(out, configImages(key, text)...)
	}
	if a.Build != nil && a.Build.Compose != nil {
		out = append(out, claim{right: rightRepos, key: "build.compose", why: "names images in another file"})
	}
	return out
}

// images gives the images that the manifest names, and the repository that takes what is built, by their keys.
func (a *App) images() map[string]string {
	out := map[string]string{"image.repository": a.Image.Repository}
	if a.Source.Type == "image" {
		out["source.image"] = a.Source.Image
	}
	if a.Build != nil && a.Build.Image != a.Source.Image {
		out["build.image"] = a.Build.Image
	}
	checks := func(section string, list []MachineCheck) {
		for i, c := range list {
			out[fmt.Sprintf("%smachine_checks[%d].image", section, i)] = c.Image
		}
	}
	checks("", a.MachineChecks)
	if a.HTTPService != nil {
		checks("http_service.", a.HTTPService.MachineChecks)
	}
	for i, s := range a.Services {
		checks(fmt.Sprintf("services[%d].", i), s.MachineChecks)
	}
	return out
}

// plainRepo is how an address is written that means what it looks like.
var plainRepo = regexp.MustCompile(`^[a-z0-9._~:-]*(/[a-z0-9._~+-]+)+$`)

// repoClaim is for the address of a Git repository.
func repoClaim(key, repo string) claim {
	bare := bareRepo(repo)
	if !isPlain(bare) {
		return claim{right: rightRepos, key: key, name: bare, why: "is an address that may mean another one"}
	}
	return claim{right: rightRepos, key: key, name: bare}
}

// isPlain reports whether an address has nothing in it that others read in another way, such as .. or %2e.
func isPlain(bare string) bool {
	return plainRepo.MatchString(bare) && path.Clean(bare) == bare
}

// imageClaim is for an image: its repository, with the registry's host.
func imageClaim(key, ref string) claim {
	name, _, _ := strings.Cut(strings.TrimSpace(ref), "@")
	if i := strings.LastIndex(name, ":"); i >= 0 && !strings.Contains(name[i:], "/") {
		name = name[:i]
	}
	host, rest, deep := strings.Cut(name, "/")
	switch {
	case !deep || host != "localhost" && !strings.ContainsAny(host, ".:"):
		host, rest = "docker.io", name
	case host == "index.docker.io":
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return repoClaim(key, host+"/"+rest)
}

// machineConfigs gives what is written as a machine's config, by its key.
func (a *App) machineConfigs() map[string]string {
	out := map[string]string{}
	if a.MachineConfig != "" {
		out["machine_config"] = a.MachineConfig
	}
	if e := a.Experimental; e != nil && e.MachineConfig != "" {
		out["experimental.machine_config"] = e.MachineConfig
	}
	return out
}

// configImages are the images of a machine config's containers.
func configImages(key, text string) []claim {
	unknown := []claim{{right: rightRepos, key: key, why: "may name images in another file; write it here, as JSON"}}
	var config struct {
		Containers []*struct{ Image string }
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return unknown
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return unknown
	}
	var out []claim
	for i, c := range config.Containers {
		if c != nil && c.Image != "" {
			out = append(out, imageClaim(fmt.Sprintf("%s.containers[%d].image", key, i), c.Image))
		}
	}
	return out
}

func (a *App) addonClaims() []claim {
	var out []claim
	for i, addon := range a.Addons {
		if addon.URLSecret != "" {
			continue // it is a secret that has another name
		}
		usual := a.Name + "-" + addon.Type
		name := cmp.Or(addon.Name, usual)
		out = append(out, claim{right: rightAddons, key: fmt.Sprintf("addons[%d]", i), name: addon.Type, more: name, own: name == usual})
	}
	for i, s := range a.Statics {
		if s.TigrisBucket != "" {
			key := fmt.Sprintf("statics[%d].tigris_bucket", i)
			out = append(out, claim{right: rightAddons, key: key, name: "tigris", more: s.TigrisBucket, own: s.TigrisBucket == a.Name+"-tigris"})
		}
	}
	return out
}

// mention is a flag of launch_params or deploy_params.
type mention struct{ list, name, value string }

// mentions gives every place where one of the flags may be meant, whoever reads the lists.
func (a *App) mentions(names ...string) []mention {
	var out []mention
	lists := []struct {
		key    string
		params []string
	}{{"launch_params", a.LaunchParams}, {"deploy_params", a.DeployParams}}
	for _, list := range lists {
		for i, param := range list.params {
			name, value, has := strings.Cut(strings.TrimLeft(param, "-"), "=")
			if !has && i+1 < len(list.params) {
				value = list.params[i+1]
			}
			if slices.Contains(names, name) {
				out = append(out, mention{list.key, name, value})
			}
		}
	}
	return out
}
