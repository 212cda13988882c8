package manifest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The bounds of build.timeout.
const (
	leastBuild = time.Second
	mostBuild  = 50 * time.Minute // an attempt at a job lasts an hour, and has more to do
)

// build checks what is said of how the image is made.
func (c checker) build() {
	b := c.app.Build
	if b == nil {
		c.buildOnly(nil)
		return
	}
	if c.app.ImageRef() != "" {
		if written := c.writtenOf(idleBeside()); len(written) > 0 {
			like := ""
			if len(written) > 1 {
				like = " (like build." + strings.Join(written[1:], ", build.") + ")"
			}
			c.note("build."+written[0], "has no effect%s: the app runs an image that is there already, and builds none", like)
		}
	}
	if len(b.Settings) > 0 && c.app.ImageRef() == "" {
		c.note("build.settings", "has no effect: it belongs to build.builtin")
	}
	if b.Builtin != "" && c.app.ImageRef() == "" {
		c.bad("build.builtin", "flyctl carries the Dockerfiles of its builtins inside it, where FlyCD cannot have them; write the Dockerfile, and leave builtin out")
	}
	c.inSource("build.dockerfile", b.Dockerfile)
	c.inSource("build.ignorefile", b.Ignorefile)
	c.buildSecrets(b)
	c.buildOnly(b)
	c.backend(b)
	for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
		if !isLabelName(name) {
			c.bad("build.labels", "expected names of letters, digits and . _ - /, which begin and end with a letter or a digit, such as org.opencontainers.image.title, found %q", clip(name))
		}
	}
	if t := b.Timeout; t != nil && (time.Duration(*t) < leastBuild || time.Duration(*t) > mostBuild) {
		c.bad("build.timeout", "expected 1s to 50m (an attempt at a job lasts an hour), found %s", t)
	}
}

// inSource wants a file that a build reads to be in the app's source.
func (c checker) inSource(key, name string) {
	switch {
	case c.app.ImageRef() != "" || name == "":
	case strings.Contains(name, "://"):
		c.bad(key, "URLs are not read; put the file into the app's source, and write its path there")
	case path.IsAbs(name):
		c.bad(key, "expected a path in the app's source, such as docker/web.Dockerfile, not an absolute path")
	case leaves(name):
		c.bad(key, "leaves the app's source, in which its path begins (source.path); name a file inside it")
	}
}

// ownBuildKeys are the keys of the build section that Fly does not know.
func ownBuildKeys() []string {
	return []string{"secrets", "ssh", "labels", "network", "cache", "provenance", "backend", "timeout"}
}

// IsFlyBuild reports whether a key of the build section is of Fly's own configuration reference.
func IsFlyBuild(key string) bool { return !slices.Contains(ownBuildKeys(), key) }

// idleBeside are the keys of the build section that say nothing of an image which is there already.
func idleBeside() []string {
	return append([]string{
		"builder", "buildpacks", "builtin", "settings", "args", "dockerfile", "ignorefile", "build-target", "build_target", "compression", "compression_level",
	}, ownBuildKeys()...)
}

// writtenOf gives those of the keys that the build section has.
func (c checker) writtenOf(keys []string) []string {
	section := lookup(c.tree, "build")
	return slices.DeleteFunc(keys, func(key string) bool { return !hasKey(section, key) })
}

// buildSecrets wants every secret of a build to be one of the app's.
func (c checker) buildSecrets(b *Build) {
	seen := map[string]bool{}
	for i, name := range b.Secrets {
		key := fmt.Sprintf("build.secrets[%d]", i)
		if seen[name] {
			c.bad(key, "%q is listed twice", clip(name))
			continue
		}
		seen[name] = true
		c.knownSecret(key, name)
	}
	for _, id := range slices.Sorted(maps.Keys(b.SSH)) {
		if !mountID.MatchString(id) {
			c.bad("build.ssh", "expected ids of letters, digits and . _ -, such as default, found %q", clip(id))
			continue
		}
		c.knownSecret("build.ssh."+id, b.SSH[id])
	}
}

// knownSecret wants a name to be one of secrets.
func (c checker) knownSecret(key, name string) {
	var known []string
	for _, s := range c.app.Secrets {
		known = append(known, s.Name)
	}
	switch {
	case slices.Contains(known, name) && mountID.MatchString(name):
	case name == "":
		c.bad(key, "is missing; expected the name of one of secrets")
	case strings.Contains(name, "PRIVATE KEY-----"):
		c.bad(key, "holds a private key; put the key where secrets can find it, and write the secret's name")
	case slices.Contains(known, name):
		c.bad(key, "expected a name of letters, digits and . _ -, by which a step can mount it, found %q", clip(name))
	default:
		c.bad(key, "%q is none of secrets; list it there, with where its value comes from (and build_only: true, if the app is not to have it)%s", clip(name), meant(name, known))
	}
}

// buildOnly looks for secrets that nobody gets, and for those that the app would miss.
func (c checker) buildOnly(b *Build) {
	var used []string
	if b != nil && c.app.ImageRef() == "" {
		used = append(slices.Collect(maps.Values(b.SSH)), b.Secrets...)
	}
	kept := map[string]bool{}
	for i, s := range c.app.Secrets {
		if s.BuildOnly && !slices.Contains(used, s.Name) {
			c.note(fmt.Sprintf("secrets[%d].build_only", i), "nobody gets %s: no build uses it (build.secrets, build.ssh), and the app does not have it", clip(s.Name))
		}
		kept[s.Name] = s.BuildOnly
	}
	const missing = "%s is build_only, so the app does not have it; leave build_only out, or list it under a second name"
	for i, f := range c.app.Files {
		if kept[f.SecretName] {
			c.bad(fmt.Sprintf("files[%d].secret_name", i), missing, clip(f.SecretName))
		}
	}
	for i, a := range c.app.Addons {
		if kept[a.URLSecret] {
			c.bad(fmt.Sprintf("addons[%d].url_secret", i), missing, clip(a.URLSecret))
		}
	}
}

// backend checks that what is asked of a builder is something that it can do.
func (c checker) backend(b *Build) {
	const builders = "buildpacks are built by Fly's remote builders, through flyctl"
	switch {
	case c.app.ImageRef() != "":
		return
	case b.Builder == "" && len(b.Buildpacks) > 0:
		c.note("build.buildpacks", "has no effect without build.builder, the image that they run in, such as paketobuildpacks/builder-jammy-base; write it")
	case b.Builder != "" && b.Backend == "buildkit":
		c.bad("build.backend", "expected fly or auto beside build.builder: %s", builders)
	case b.Builder != "" && c.app.Source.Type == "inline-docker-file":
		c.ignored("source.inline", "has no effect beside build.builder, which wins; write one of them")
	case b.Builder != "" && b.Dockerfile != "":
		c.ignored("build.dockerfile", "has no effect beside build.builder, which wins; write one of them")
	case b.Builder != "" && b.Target != "":
		c.bad("build.build-target", "is a stage of a Dockerfile, and build.builder builds without one; write one of them")
	}
	if b.Builder == "" && b.Backend != "fly" {
		return
	}
	by, instead := "build.backend: fly", "write backend: buildkit"
	if b.Builder != "" {
		by, instead = "build.builder ("+builders+")", "write a Dockerfile"
	}
	if len(b.Secrets) > 0 {
		c.bad("build.secrets", "does not go with %s: flyctl takes the values of secrets on its command line, where others can read them; %s", by, instead)
	}
	if len(b.SSH) > 0 {
		c.bad("build.ssh", "does not go with %s: flyctl forwards no keys; %s", by, instead)
	}
	if b.Network == "none" {
		c.bad("build.network", "does not go with %s: what steps of it reach is Fly's to decide; %s", by, instead)
	}
	if to := c.app.Image.Repository; to != "" && to[strings.LastIndex(to, "/")+1:] != c.app.Name {
		c.bad("image.repository", "does not go with %s: flyctl pushes to the app's own repository only; %s", by, instead)
	}
	for _, key := range c.writtenOf([]string{"cache", "provenance"}) {
		c.note("build."+key, "has no effect with %s", by)
	}
}

// mountID is what a step can call a secret or a key.
var mountID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

var labelName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?$`)

func isLabelName(name string) bool { return labelName.MatchString(name) }
