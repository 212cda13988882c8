package manifest

import (
	"net/url"
	"regexp"
	"strings"
)

// reference checks how the image is written that the app runs.
func (c checker) reference(key, ref string) {
	if keyedImage(ref) {
		c.bad(key, keyedImageText)
		return
	}
	if why := referenceFault(ref); ref != "" && why != "" {
		c.bad(key, "expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, %s; found %q", why, clip(ref))
	}
}

var (
	imagePath   = regexp.MustCompile(`^[a-z0-9_./-]{1,255}$`)
	imageTag    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	imageDigest = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$`)
)

// referenceFault tells what makes a text no reference of an image, and nothing for one that is: [HOST[:PORT]/]PATH[:TAG][@DIGEST].
// It takes what those who ask registries take (name.ParseReference of go-containerregistry, with weak validation).
func referenceFault(ref string) string {
	ref = strings.TrimSpace(ref)
	if strings.HasPrefix(ref, "http://") || strings.HasPrefix(ref, "https://") {
		return "without https://"
	}
	rest, digest, pinned := strings.Cut(ref, "@")
	if pinned && !imageDigest.MatchString(digest) {
		return "and a digest is sha256: with 64 of 0-9 a-f after it"
	}
	if i := strings.LastIndex(rest, ":"); i >= 0 && !strings.Contains(rest[i:], "/") {
		if !imageTag.MatchString(rest[i+1:]) {
			return "and a tag is at most 128 letters, digits and . _ -"
		}
		rest = rest[:i]
	}
	host, path, deep := strings.Cut(rest, "/")
	if !deep || host != "localhost" && !strings.ContainsAny(host, ".:") {
		host, path = "", rest
	}
	if u, err := url.Parse("//" + host); err != nil || u.Host != host {
		return "with the host of a registry first, where it is not Docker Hub's"
	}
	if !imagePath.MatchString(path) {
		return "whose name is small letters, digits and . _ - /"
	}
	return ""
}
