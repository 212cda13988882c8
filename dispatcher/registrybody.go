package dispatcher

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/gigurra/flycd/shared/catalog"
)

// maxPushes is the number of pushes that one delivery of a registry may tell of.
const maxPushes = 100

// The names of the deliveries that come with a token, for the log.
const (
	byAnybody  = "image"
	byHub      = "dockerhub"
	byRegistry = "notification"
)

// parseRegistry reads what a registry's delivery says. Which form it has is seen by its members. The errors are
// errContentType and errNotUnderstood.
func parseRegistry(a admitted) (event, error) {
	kind, _, err := mime.ParseMediaType(a.contentType)
	if kind, ok := strings.CutPrefix(kind, "application/"); err != nil || !ok || kind != "json" && !strings.HasSuffix(kind, "+json") {
		return event{}, errContentType
	}
	body := a.body
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil || top == nil {
		return event{}, fmt.Errorf("%w: the body is no JSON object", errNotUnderstood)
	}
	var e event
	switch {
	case top["events"] != nil:
		e, err = notified(top["events"])
	case top["target"] != nil || top["action"] != nil:
		e, err = notified([]byte("[" + string(body) + "]"))
	case top["push_data"] != nil:
		e, err = hubPush(body)
	case top["image"] != nil:
		return anybodysPush(body)
	default:
		return event{}, fmt.Errorf(`%w: expected {"image": "ghcr.io/acme/web", "tag": "1.2"}, Docker Hub's push_data, or a registry's events`, errNotUnderstood)
	}
	// Their bodies hold the time or an id of what happened, and so are the same only for the same.
	e.guid = hashed("body", body)
	return delivered(e), err
}

// anybodysPush reads the form that is ours: for scripts, and for registries that let their payload be written.
func anybodysPush(body []byte) (event, error) {
	var p struct {
		Image  string `json:"image"`
		Tag    string `json:"tag"`
		Digest string `json:"digest"`
		ID     string `json:"id"`
		Actor  string `json:"actor"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return event{}, notUnderstood("read image", err)
	}
	img, ok := catalog.ParseImage(p.Image)
	switch {
	case !ok:
		return event{}, fmt.Errorf("%w: image is %.100q, expected such as ghcr.io/acme/web", errNotUnderstood, p.Image)
	case img.Tag != "" && p.Tag != "" && img.Tag != p.Tag || img.Digest != "" && p.Digest != "" && img.Digest != p.Digest:
		return event{}, fmt.Errorf("%w: image is %.100q, tag and digest say otherwise", errNotUnderstood, p.Image)
	}
	if p.Tag == "" {
		p.Tag = img.Tag
	}
	if p.Digest == "" {
		p.Digest = img.Digest
	}
	if p.Tag == "" && p.Digest == "" {
		p.Tag = "latest"
	}
	img, err := imageOf(img.Repository, p.Tag, p.Digest)
	if err != nil {
		return event{}, err
	}
	e := event{name: byAnybody, images: []catalog.ImagePush{{Image: img, Actor: clean(p.Actor)}}}
	if p.Tag == "" {
		e.images, e.ignored = nil, img.String()+" was pushed without a tag, and nobody follows a digest"
	}
	// Without an id, a body that comes again may tell of another push: the digest decides.
	if p.ID != "" {
		e.guid = hashed("id", []byte(p.ID))
	}
	return delivered(e), nil
}

// hubPush reads a push as Docker Hub tells of it: it names no digest.
func hubPush(body []byte) (event, error) {
	var p struct {
		Push struct {
			Tag    string          `json:"tag"`
			Pusher string          `json:"pusher"`
			At     json.RawMessage `json:"pushed_at"`
		} `json:"push_data"`
		Repository struct {
			Name string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return event{}, notUnderstood("read push_data", err)
	}
	name, err := imageOf("docker.io/"+p.Repository.Name, p.Push.Tag, "")
	if err != nil {
		return event{}, fmt.Errorf("%w: repository.repo_name is %.100q, push_data.tag %.100q", errNotUnderstood, p.Repository.Name, p.Push.Tag)
	}
	e := event{name: byHub}
	if name.Tag == "" {
		e.ignored = name.Repository + " was pushed without a tag"
		return e, nil
	}
	push := catalog.ImagePush{Image: name, Actor: clean(p.Push.Pusher)}
	if at := strings.Trim(string(p.Push.At), `"`); len(at) <= 40 && at != "" && strings.Trim(at, "0123456789.eE+:TZ -") == "" {
		push.At = at
	}
	e.images = []catalog.ImagePush{push}
	return e, nil
}

// notified reads the events of a registry: those of CNCF Distribution, and of what speaks as it does. Only pushes
// of tags count: blobs and the images of single platforms have none.
func notified(list json.RawMessage) (event, error) {
	var all []struct {
		Action string `json:"action"`
		Target struct {
			Digest     string `json:"digest"`
			Repository string `json:"repository"`
			Tag        string `json:"tag"`
		} `json:"target"`
		Request struct {
			Host string `json:"host"`
		} `json:"request"`
		Actor struct {
			Name string `json:"name"`
		} `json:"actor"`
	}
	if err := json.Unmarshal(list, &all); err != nil {
		return event{}, notUnderstood("read events", err)
	}
	e, seen, odd := event{name: byRegistry}, map[string]int{}, error(nil)
	for _, n := range all {
		if n.Action != "push" || n.Target.Tag == "" {
			continue
		}
		img, err := imageOf(n.Request.Host+"/"+n.Target.Repository, n.Target.Tag, digestOf(n.Target.Digest))
		if err != nil {
			odd = fmt.Errorf("%w: request.host is %.100q, target.repository %.100q", errNotUnderstood, n.Request.Host, n.Target.Repository)
			continue
		}
		push := catalog.ImagePush{Image: img, Actor: clean(n.Actor.Name)}
		tagged := img.Repository + ":" + img.Tag
		if i, known := seen[tagged]; known {
			e.images[i] = push
			continue
		}
		seen[tagged] = len(e.images)
		e.images = append(e.images, push)
	}
	switch {
	case len(e.images) > maxPushes:
		return event{}, fmt.Errorf("%w: it tells of %d pushes, %d at most are taken at once", errNotUnderstood, len(e.images), maxPushes)
	case len(e.images) == 0 && odd != nil:
		return event{}, odd
	case len(e.images) == 0:
		e.ignored = "no tag was pushed: other events of a registry concern nobody"
	}
	return e, nil
}

// delivered gives the pushes the id of their delivery.
func delivered(e event) event {
	for i := range e.images {
		e.images[i].Delivery = e.guid
	}
	return e
}

// hashed makes the id of a delivery of what tells it from all others.
func hashed(kind string, b []byte) string {
	h := sha256.New()
	h.Write([]byte(kind + "\x00"))
	h.Write(b)
	return kind + "-" + hex.EncodeToString(h.Sum(nil))[:40]
}
