package buildkit

import (
	"crypto/rand"
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"

	"github.com/gigurra/flycd/shared/image"
)

// epochArg is how the world says which time a build shall carry.
const epochArg = "SOURCE_DATE_EPOCH"

// attributes says a request in BuildKit's words. They are told to everybody who asks buildkitd, and kept in an image's
// provenance: nothing secret is among them.
func attributes(name string, req image.Request) client.SolveOpt {
	epoch := epochOf(req)
	opt := client.SolveOpt{
		Frontend: "dockerfile.v0",
		FrontendAttrs: map[string]string{
			"filename": dockerfileOf(req),
			// Fly's machines are of this kind only
			"platform": "linux/amd64",
		},
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: exportAttrs(name, epoch, req)}},
		// BuildKit keeps what it was sent and asks only for files whose size or time differs; here every file has
		// one time, so nothing that another build sent may stand for this one's
		SharedKey: rand.Text(),
	}
	for k, v := range req.Args {
		opt.FrontendAttrs["build-arg:"+k] = v
	}
	opt.FrontendAttrs["build-arg:"+epochArg] = epoch
	for k, v := range req.Labels {
		opt.FrontendAttrs["label:"+k] = v
	}
	if req.Target != "" {
		opt.FrontendAttrs["target"] = req.Target
	}
	if req.NoCache {
		opt.FrontendAttrs["no-cache"] = ""
	}
	if req.Network == "none" {
		opt.FrontendAttrs["force-network-mode"] = "none"
	}
	if req.Provenance {
		// min: the values of arguments are left out
		opt.FrontendAttrs["attest:provenance"] = "mode=min"
	}
	addCache(&opt, req, cacheOf(name, req.App))
	return opt
}

// epochOf gives the time that the image carries, in seconds. An argument of the user's own wins.
func epochOf(req image.Request) string {
	if v := req.Args[epochArg]; v != "" {
		return v
	}
	if req.Epoch.IsZero() {
		return "0"
	}
	return strconv.FormatInt(req.Epoch.Unix(), 10)
}

func dockerfileOf(req image.Request) string {
	if req.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(req.Dockerfile)
}

func exportAttrs(name, epoch string, req image.Request) map[string]string {
	attrs := map[string]string{
		"name": name, "push": strconv.FormatBool(!req.NoPush),
		"source-date-epoch": epoch, "rewrite-timestamp": "true",
	}
	maps.Copy(attrs, compression(req))
	if req.Compression != "" {
		attrs["force-compression"] = "true"
	}
	return attrs
}

func compression(req image.Request) map[string]string {
	attrs := map[string]string{}
	if req.Compression != "" {
		attrs["compression"] = req.Compression
		// zstd has no name in docker's own media types
		attrs["oci-mediatypes"] = "true"
	}
	if req.Level != nil {
		attrs["compression-level"] = strconv.Itoa(*req.Level)
	}
	return attrs
}

// addCache takes what the last build of the app left in the repository, and leaves what this one makes. A cache that
// cannot be written costs the next build its speed, and this one nothing.
func addCache(opt *client.SolveOpt, req image.Request, ref string) {
	if req.Cache == "off" {
		return
	}
	if !req.NoCache {
		opt.CacheImports = []client.CacheOptionsEntry{{Type: "registry", Attrs: map[string]string{"ref": ref}}}
	}
	if req.NoPush {
		return
	}
	mode := "max"
	if req.Cache == "min" {
		mode = "min"
	}
	opt.CacheExports = []client.CacheOptionsEntry{{Type: "registry", Attrs: map[string]string{
		"ref": ref, "mode": mode, "image-manifest": "true", "oci-mediatypes": "true", "ignore-error": "true",
	}}}
}

// cacheOf is the tag of an app's cache in the repository of its image: apps that share a repository keep a cache each.
func cacheOf(name, app string) string {
	return name[:strings.LastIndexByte(name, ':')] + ":cache-" + app
}
