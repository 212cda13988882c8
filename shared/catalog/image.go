package catalog

import (
	"regexp"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// Image is an image reference in its parts.
type Image struct {
	// Repository is host/path, as every spelling of it has it: lower case, docker.io and library/ where they
	// were left out, the port only where it is not 443.
	Repository string
	// Tag is empty where none is named.
	Tag string
	// Digest is such as sha256:…, empty where none is named.
	Digest string
}

// hub is the host of images that name none, library the folder of those that name no folder either.
const (
	hub     = "docker.io"
	library = "library/"
)

var (
	repositoryForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	tagForm        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestForm     = regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,128}$`)
)

// maxRepository is what registries let a name with its host be; maxReference is more than a reference can be.
const (
	maxRepository = 255
	maxReference  = 1024
)

// ParseImage reads a reference as people and registries write it: host/path, a short name of Docker Hub, a tag, a
// digest, or an empty tag (host/path:), as GitHub has it for a push without one. It gives false for what is none.
func ParseImage(ref string) (Image, bool) {
	if len(ref) > maxReference {
		return Image{}, false
	}
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest && !digestForm.MatchString(digest) {
		return Image{}, false
	}
	tag := ""
	if at := strings.LastIndexByte(rest, ':'); at > strings.LastIndexByte(rest, '/') {
		rest, tag = rest[:at], rest[at+1:]
	}
	if tag != "" && !tagForm.MatchString(tag) {
		return Image{}, false
	}
	repository := repositoryOf(strings.ToLower(rest))
	return Image{Repository: repository, Tag: tag, Digest: digest}, len(repository) <= maxRepository && repositoryForm.MatchString(repository)
}

// repositoryOf adds what a short name leaves out, and drops what says nothing.
func repositoryOf(name string) string {
	host, path, ok := strings.Cut(name, "/")
	if !ok || host != "localhost" && !strings.ContainsAny(host, ".:") {
		host, path = hub, name
	}
	host = strings.TrimSuffix(host, ":443")
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		host = hub
	}
	if host == hub && !strings.Contains(path, "/") {
		path = library + path
	}
	return host + "/" + path
}

// String gives the reference back.
func (i Image) String() string {
	s := i.Repository
	if i.Tag != "" {
		s += ":" + i.Tag
	}
	if i.Digest != "" {
		s += "@" + i.Digest
	}
	return s
}

// ImageRoute says that an app names an image. It is kept for every such app, also for those that follow no push,
// so that a hook can be told why nothing is done.
type ImageRoute struct {
	App    string     `json:"app"`
	Org    string     `json:"org,omitempty"`
	Config job.Config `json:"config,omitzero"`
	// Image and Policy are the entry's.
	Image  string      `json:"image"`
	Policy ImagePolicy `json:"policy,omitzero"`
	Auto   bool        `json:"auto"`
	// Generation is the generation of Config that wrote the route.
	Generation int64 `json:"generation,omitempty"`
}

// ImageKey gives the repository of the image that an entry names, and "" for one that names none.
func ImageKey(e Entry) string {
	if img, ok := ParseImage(e.Image); ok {
		return img.Repository
	}
	return ""
}

// ImageRouteOf gives the route that leads from its image to an entry.
func ImageRouteOf(e Entry) ImageRoute {
	return ImageRoute{App: e.App, Org: e.Org, Config: e.Config, Image: e.Image, Policy: e.Policy, Auto: e.Auto, Generation: e.Generation}
}
