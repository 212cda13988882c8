package dispatcher

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
)

// ghcr is the registry of GitHub's packages, where an event names none.
const ghcr = "ghcr.io"

// isPackage tells whether an event of GitHub is about its registries. Both names are of the same thing, and a hook
// may send either or both.
func isPackage(name string) bool { return name == "package" || name == "registry_package" }

// published reads a package event: the push of a tag to a registry, or why there is nothing to do.
func published(name string, payload []byte) (pushes []catalog.ImagePush, ignored string, err error) {
	if !object(payload) {
		return nil, "", fmt.Errorf("%w: the body is no JSON object", errNotUnderstood)
	}
	var e struct {
		Action  string          `json:"action"`
		Package json.RawMessage `json:"package"`
		Older   json.RawMessage `json:"registry_package"`
		Sender  struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, "", notUnderstood("read package event", err)
	}
	if e.Action != "published" && e.Action != "updated" {
		return nil, fmt.Sprintf("%s: nothing is done at the action %.40q", name, e.Action), nil
	}
	if len(e.Package) == 0 {
		e.Package = e.Older
	}
	img, ignored, err := containerOf(e.Package)
	if err != nil {
		return nil, "", err
	}
	if ignored != "" {
		return nil, name + ": " + ignored, nil
	}
	return []catalog.ImagePush{{Image: img, Actor: clean(e.Sender.Login)}}, "", nil
}

// containerOf reads the image of a package, or says why it is none.
func containerOf(body json.RawMessage) (img catalog.Image, ignored string, err error) {
	var p struct {
		Name      string `json:"name"`
		Ecosystem string `json:"ecosystem"`
		Type      string `json:"package_type"`
		Owner     struct {
			Login string `json:"login"`
		} `json:"owner"`
		Version json.RawMessage `json:"package_version"`
	}
	if !object(body) {
		return img, "", fmt.Errorf("%w: the package is missing", errNotUnderstood)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return img, "", notUnderstood("read package", err)
	}
	if !isContainer(p.Type) && !isContainer(p.Ecosystem) {
		return img, fmt.Sprintf("package %.100q is no container image but of the type %.40q", p.Name, p.Type), nil
	}
	var v struct {
		Version string `json:"version"`
		URL     string `json:"package_url"`
		Meta    struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
		} `json:"container_metadata"`
	}
	if !object(p.Version) {
		return img, fmt.Sprintf("package %.100q has no version", p.Name), nil
	}
	if err := json.Unmarshal(p.Version, &v); err != nil {
		return img, "", notUnderstood("read package version", err)
	}
	img, ok := catalog.ParseImage(v.URL)
	if !ok {
		img, ok = catalog.ParseImage(ghcr + "/" + p.Owner.Login + "/" + p.Name)
	}
	if !ok {
		return img, "", fmt.Errorf("%w: package_url is %.100q, expected an image", errNotUnderstood, v.URL)
	}
	if v.Meta.Tag.Name != "" {
		img.Tag = v.Meta.Tag.Name
	}
	if img.Tag == "" {
		// GitHub tells of each manifest by itself; only that of the whole image has a tag.
		return img, img.Repository + " was pushed without a tag: the push of its tag is what counts", nil
	}
	img, err = imageOf(img.Repository, img.Tag, digestOf(v.Meta.Tag.Digest, v.Version))
	return img, "", err
}

func isContainer(kind string) bool {
	return strings.EqualFold(kind, "container") || strings.EqualFold(kind, "docker")
}

// digestOf is the first of the texts that is a digest.
func digestOf(texts ...string) string {
	for _, s := range texts {
		if _, ok := catalog.ParseImage("x@" + s); ok && strings.HasPrefix(s, "sha256:") && len(s) == len("sha256:")+64 {
			return s
		}
	}
	return ""
}

// imageOf puts an image together, each part of which must be what it is called.
func imageOf(repository, tag, digest string) (catalog.Image, error) {
	ref := repository
	if tag != "" {
		ref += ":" + tag
	}
	if digest != "" {
		ref += "@" + digest
	}
	img, ok := catalog.ParseImage(ref)
	if !ok || img.Tag != tag || img.Digest != digest {
		return catalog.Image{}, fmt.Errorf("%w: %.200q is no image such as ghcr.io/acme/web:1.2", errNotUnderstood, ref)
	}
	return img, nil
}

// notUnderstood says in short what a parser found.
func notUnderstood(what string, err error) error {
	return fmt.Errorf("%w: %s: %.200s", errNotUnderstood, what, err.Error())
}

// clean bounds a name that is shown to people.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 100)], "")
}
