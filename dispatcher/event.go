package dispatcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// event is what a verified delivery says: a push to a repository, pushes to registries, or why there is nothing to
// do.
type event struct {
	name, guid string
	push       catalog.Push
	// images are the pushes to registries. Where there is one, push is zero.
	images []catalog.ImagePush
	// plan is the pull request whose plan is wanted, nil where none is. ping is true where a webhook was set up; push
	// then names the repository alone.
	plan *wantedPlan
	ping bool
	// ignored is empty for pushes.
	ignored string
}

// subject is what the event is about, for the log.
func (e event) subject() (what, at string) {
	if len(e.images) > 0 {
		return e.images[0].Image.Repository, e.images[0].Image.Tag
	}
	if e.plan != nil {
		return job.RepoKey(e.plan.repo), "pull request " + strconv.Itoa(e.plan.number)
	}
	return job.RepoKey(e.push.Repo), e.push.Ref
}

var (
	// errContentType comes from parse for a body that is neither JSON nor a form.
	errContentType = errors.New("content type must be application/json or application/x-www-form-urlencoded")
	// errNotUnderstood comes from parse for a body that is no event.
	errNotUnderstood = errors.New("the delivery is not understood")
)

// parse reads what a delivery says. The errors are errContentType and errNotUnderstood.
func parse(v verified) (event, error) {
	payload, err := payload(v)
	if err != nil {
		return event{}, err
	}
	if !plain(v.event, 64) || v.event == "" {
		return event{}, fmt.Errorf("%w: the header X-GitHub-Event is missing or no event's name", errNotUnderstood)
	}
	if !plain(v.guid, 64) {
		return event{}, fmt.Errorf("%w: the header X-GitHub-Delivery is no delivery's id", errNotUnderstood)
	}
	e := event{name: v.event, guid: v.guid}
	switch {
	case e.name == "push":
		e.push, err = push(payload)
		e.push.Delivery = e.guid
	case e.name == "ping":
		e.push, err = pinged(payload)
		e.push.Delivery, e.ping = e.guid, true
	case e.name == "pull_request" || e.name == "issue_comment":
		e.plan, e.ignored, err = pulled(e.name, payload)
	case isPackage(e.name):
		e.images, e.ignored, err = published(e.name, payload)
	default:
		e.ignored, err = ignore(e.name, payload)
	}
	return delivered(e), err
}

// payload is the JSON of the body, which comes bare or as a form's field.
func payload(v verified) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(v.contentType)
	if err != nil {
		return nil, errContentType
	}
	switch kind {
	case "application/json":
		return v.body, nil
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(v.body))
		if err != nil {
			return nil, fmt.Errorf("%w: read form: %.200s", errNotUnderstood, err.Error())
		}
		return []byte(form.Get("payload")), nil
	default:
		return nil, errContentType
	}
}

// push reads a push of a branch or tag: also one that creates, deletes or forces.
func push(payload []byte) (catalog.Push, error) {
	short, ok := slim(payload)
	if !ok {
		return catalog.Push{}, fmt.Errorf("%w: the body is no JSON object", errNotUnderstood)
	}
	parsed, err := github.ParseWebHook("push", short)
	if err != nil {
		return catalog.Push{}, fmt.Errorf("%w: read push event: %.200s", errNotUnderstood, err.Error())
	}
	p, ok := parsed.(*github.PushEvent)
	if !ok {
		return catalog.Push{}, fmt.Errorf("%w: not a push", errNotUnderstood)
	}
	repo := p.GetRepo()
	out := catalog.Push{
		Repo:          repo.GetCloneURL(),
		Ref:           p.GetRef(),
		DefaultBranch: repo.GetDefaultBranch(),
		Before:        p.GetBefore(),
		After:         p.GetAfter(),
		Created:       p.GetCreated(),
		Deleted:       p.GetDeleted() || zeros(p.GetAfter()),
		Forced:        p.GetForced(),
		Actor:         p.GetSender().GetLogin(),
		Skip:          skips(p.GetHeadCommit().GetMessage()),
	}
	if at := repo.GetPushedAt(); !at.IsZero() {
		out.Time = at.UnixMilli()
	}
	return out, check(out)
}

// skips reports whether a commit's message asks to be left alone, as CI systems are asked.
func skips(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "[skip flycd]") || strings.Contains(message, "[flycd skip]")
}

// check reports the first thing that a push cannot do without.
func check(p catalog.Push) error {
	switch {
	case p.Repo == "":
		return fmt.Errorf("%w: repository.clone_url is missing", errNotUnderstood)
	case !strings.HasPrefix(p.Ref, "refs/"):
		return fmt.Errorf("%w: ref is %.80q, expected refs/heads/… or refs/tags/…", errNotUnderstood, p.Ref)
	case !commit(p.Before) || !commit(p.After):
		return fmt.Errorf("%w: before and after are to be full commit hashes", errNotUnderstood)
	case strings.ContainsAny(p.Repo+p.Ref+p.DefaultBranch, "\x00\n\r"):
		return fmt.Errorf("%w: a control character in ref or repository", errNotUnderstood)
	}
	return nil
}

// ignore says why an event that is no push makes no job. Its payload must be JSON and no more: an
// event that nothing is done about never fails for a field that a forge has changed.
func ignore(name string, payload []byte) (string, error) {
	if !object(payload) || !json.Valid(payload) {
		return "", fmt.Errorf("%w: the body is no JSON object", errNotUnderstood)
	}
	switch name {
	case "create", "delete":
		return name + ": the push event that comes with it is what counts", nil
	default:
		return fmt.Sprintf("FlyCD does nothing at the event %q: let the webhook send pushes and packages", name), nil
	}
}

// object reports whether the JSON is an object, as every event is.
func object(payload []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) }

// stamp gives a push the time of its arrival where the forge named none.
func stamp(p catalog.Push, now time.Time) catalog.Push {
	if p.Time <= 0 {
		p.Time = now.UnixMilli()
	}
	return p
}

// commit reports whether s is a SHA-1 or a SHA-256 in lower-case hex.
func commit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func zeros(s string) bool { return s != "" && strings.Trim(s, "0") == "" }

// plain reports whether s is at most n letters, digits, hyphens and underscores.
func plain(s string, n int) bool {
	if len(s) > n {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
