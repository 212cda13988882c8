package manifest

import (
	"regexp"
	"strings"
)

// images checks what is said of an image that is there already, and of where images are kept.
func (c checker) images() {
	src, ref := c.app.Source, c.app.ImageRef()
	key := "source.image"
	if b := c.app.Build; b != nil && b.Image == ref && (src.Type != "image" || !hasKey(lookup(c.tree, "source"), "image")) {
		key = "build.image"
	}
	switch {
	case src.Copy && ref == "":
		c.bad("source.copy", "goes only with an image (source.type: image); what FlyCD builds is in the app's repository already")
	case src.Policy != ImagePolicy{} && ref == "" && src.Type != "":
		c.bad("source.policy", "goes only with an image (source.image, or build.image): it chooses among its tags")
	case src.Policy != ImagePolicy{} && strings.Contains(ref, "@"):
		c.bad("source.policy", "has no tags to choose among, because %s names a digest; write the image without it", key)
	case key == "source.image" && c.app.Build != nil && c.app.Build.Image != "" && c.app.Build.Image != ref:
		c.note("build.image", "has no effect beside source.image, which wins; write one of them")
	}
	c.reference(key, ref)
	c.policy(src.Policy)
	c.repository(ref)
}

// repository wants a registry's host and a path in it.
func (c checker) repository(ref string) {
	name := c.app.Image.Repository
	if name == "" {
		return
	}
	const such = "such as registry.fly.io/other-app or ghcr.io/acme/web"
	host, rest, _ := strings.Cut(name, "/")
	last := rest[strings.LastIndex(rest, "/")+1:]
	switch {
	case keyedImage(name):
		c.bad("image.repository", keyedImageText)
	case strings.Contains(name, "://"):
		c.bad("image.repository", "expected a registry and a path in it, %s, without https://, found %q", such, clip(name))
	case strings.Contains(name, "@"):
		c.bad("image.repository", "expected a repository without a digest, %s: FlyCD deploys by digest itself; found %q", such, clip(name))
	case strings.Contains(last, ":"):
		c.bad("image.repository", "expected a repository without a tag, %s: FlyCD makes the tag of what the image is built from; found %q", such, clip(name))
	case rest == "" || !strings.ContainsAny(host, ".:") && host != "localhost":
		c.bad("image.repository", "expected a registry and a path in it, %s, found %q%s", such, clip(name), onHub(host, rest))
	case !registryHost.MatchString(host):
		c.bad("image.repository", "expected the host of a registry first, %s, found %q", such, clip(host))
	case len(name) > 255 || !repositoryPath.MatchString(rest):
		c.bad("image.repository", "expected a path of small letters, digits and . _ - after the registry, %s, found %q", such, clip(rest))
	case ref != "" && !c.app.Source.Copy:
		c.note("image.repository", "has no effect: the app runs an image that is there already, and it is not copied (source.copy)")
	}
}

// onHub suggests how a repository of Docker Hub is written.
func onHub(host, rest string) string {
	if rest == "" || !repositoryPath.MatchString(host+"/"+rest) {
		return ""
	}
	return "; on Docker Hub it is docker.io/" + clip(host+"/"+rest)
}

var (
	registryHost   = regexp.MustCompile(`^(localhost|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	repositoryPath = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)
