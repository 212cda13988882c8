package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind says what a job wants done.
type Kind string

// The kinds of jobs. The values are public: users read them in Redis.
const (
	// Deploy makes one app real at its newest halves.
	Deploy Kind = "deploy"
	// Sync reads one config tree and pushes a job per app that may have changed. A sync without
	// a config tree is a fan-out: it compares the subtree hashes of one source repository and
	// pushes jobs for the apps whose subtree changed.
	Sync Kind = "sync"
	// Destroy removes one app.
	Destroy Kind = "destroy"
	// Plan reads and compares one app, or, for a pull request, all apps of a config tree, and changes nothing.
	Plan Kind = "plan"
)

// The reasons of jobs. The values are public: users read them in Redis.
const (
	// ByPush is for a job that a webhook made, BySync for one that a sync or fan-out pushed for an app.
	ByPush = "push"
	BySync = "sync"
	// BySweep is for a job that a sweep pushed because machines were changed by somebody else, or an image that is
	// followed is another one by now.
	BySweep = "sweep"
	// ByDispatch and ByDeploy are for what a person asked for: of the queue, or with `flycd deploy`.
	ByDispatch = "dispatch"
	ByDeploy   = "deploy"
	// ByCall is for what a program asked for with POST /dispatch: a CI system. It waits for windows as a push does.
	ByCall = "call"
	// ByPull is for the plan of a pull request.
	ByPull = "pull"
	// ByPing is for the first sync of a config repository, whose webhook was just set up.
	ByPing = "ping"
)

// ID names a job: 26 characters of lower-case base32.
type ID string

// Side says which half of a wish an event named.
type Side string

// The sides of a wish.
const (
	ConfigSide Side = "config"
	SourceSide Side = "source"
)

// Half is one half of a wish: a repository at a commit.
type Half struct {
	Side Side `json:"side"`
	// Repo is the clone URL as the forge or the manifest gave it, without credentials.
	Repo string `json:"repo"`
	// Ref is a full ref name (refs/heads/main); empty means the default branch.
	Ref string `json:"ref,omitempty"`
	// Default is true when Ref is the repository's default branch, so that a manifest that asks for
	// the default branch knows the half as its own.
	Default bool `json:"default,omitempty"`
	// Commit is the full hash; empty means that the runner asks ls-remote.
	Commit string `json:"commit,omitempty"`
	// Digest is the config digest or the source digest that this half has for the app, where
	// whoever pushed the job knew it.
	Digest string `json:"digest,omitempty"`
}

// Order places a wish among the wishes for the same subject.
type Order struct {
	// Time is the forge's push time in Unix milliseconds. Zero is the time of arrival in the queue, by the
	// queue's clock.
	Time int64 `json:"time"`
	// Before and After are the commits of the push. On equal times the event whose Before is
	// the other's After is the newer one.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Config names a config tree: a folder of a config repository at a ref.
type Config struct {
	// Repo is a clone URL. A job of `flycd deploy` that never enters Redis has an absolute
	// folder here.
	Repo string `json:"repo"`
	// Ref is a branch, a tag or a full ref; empty means the default branch.
	Ref string `json:"ref,omitempty"`
	// Path is the folder inside the repository, slash separated; empty means its root.
	Path string `json:"path,omitempty"`
}

// Job is the wish that one app, or one config tree, be real at one commit. It is immutable.
type Job struct {
	ID   ID   `json:"id"`
	Kind Kind `json:"kind"`
	// App is the app of a deploy, destroy or plan job.
	App string `json:"app,omitempty"`
	// Config is the tree that a sync job reads, or the tree that the app belongs to where that
	// is known. The zero value on a sync job makes it a fan-out over Half.Repo.
	Config Config `json:"config,omitzero"`
	Org    string `json:"org,omitempty"`
	// Half is what the event named. The zero value names nothing: the runner deploys both
	// halves as they stand.
	Half  Half  `json:"half,omitzero"`
	Order Order `json:"order"`
	// Reason says what asked for it, one of the Reasons.
	Reason string `json:"reason,omitempty"`
	// Delivery is the forge's GUID of the webhook that made the job.
	Delivery string    `json:"delivery,omitempty"`
	Actor    string    `json:"actor,omitempty"`
	Created  time.Time `json:"created"`
	// Force deploys although the digest is unchanged.
	Force bool `json:"force,omitempty"`
	// Confirm is a person's word that a deploy may destroy what is lost for good: volumes, databases,
	// certificates, dedicated addresses that the manifest no longer names (with sync.prune).
	Confirm bool `json:"confirm,omitempty"`
	// Low puts the job into the stream that is read second: fan-out and sweep.
	Low bool `json:"low,omitempty"`
	// DelayMS keeps the job from being launched for so many milliseconds after it was pushed, by the queue's
	// clock: the grace of a destroy.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// Pull is the number of the pull request of Config.Repo that a plan of the whole tree is for. Half is the
	// request's head.
	Pull int `json:"pull,omitempty"`
	// Untrusted marks what came from a fork: the runner uses no credential and no secret for it but what
	// opens Config.Repo.
	Untrusted bool `json:"untrusted,omitempty"`
}

// Subject is what at most one active job may change at a time: the app's name, the config
// tree's id, or, for a fan-out, the repository and ref. An app's name has no slash and a
// repository always has one, so subjects of different kinds never collide.
func (j Job) Subject() string {
	switch {
	case j.App != "":
		return j.App
	case j.Kind == Plan:
		return fmt.Sprintf("pull:%d:%s", j.Pull, j.Config.ID())
	case j.Config.Repo != "":
		return j.Config.ID()
	default:
		return "fan-out:" + RepoKey(j.Half.Repo) + "@" + j.Half.Ref
	}
}

// ByHand reports whether a person asked for the job, directly or with a sync: closed windows let it pass.
func (j Job) ByHand() bool { return j.Reason == ByDispatch || j.Reason == ByDeploy }

// ErrRejected marks an error that no further attempt can cure: a bad manifest, a name that
// belongs to somebody else, a build that fails in user code. Everything else may be tried again.
var ErrRejected = errors.New("rejected")

type rejection struct{ err error }

func (r rejection) Error() string   { return r.err.Error() }
func (r rejection) Unwrap() []error { return []error{r.err, ErrRejected} }

// Reject marks err as one that no attempt can cure. The text stays err's own. Reject(nil) is nil.
func Reject(err error) error {
	if err == nil {
		return nil
	}
	return rejection{err}
}

// Rejectf makes a rejection from a format as fmt.Errorf does.
func Rejectf(format string, args ...any) error { return Reject(fmt.Errorf(format, args...)) }

// Decode reads a job as Encode wrote it. It returns an error that wraps ErrRejected when the
// bytes are no job.
func Decode(b []byte) (Job, error) {
	var j Job
	if err := json.Unmarshal(b, &j); err != nil {
		return Job{}, Rejectf("decode job: %w", err)
	}
	if err := j.check(); err != nil {
		return Job{}, Reject(err)
	}
	return j, nil
}

// Encode gives the JSON form that is kept in Redis.
func (j Job) Encode() ([]byte, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	return json.Marshal(j)
}

func (j Job) check() error {
	switch j.Kind {
	case Deploy, Destroy, Plan:
		if j.App == "" && (j.Kind != Plan || j.Config.Repo == "" || j.Pull < 1) {
			return fmt.Errorf("job %s: a %s job needs an app", j.ID, j.Kind)
		}
	case Sync:
		if j.App != "" || (j.Config.Repo == "" && j.Half.Repo == "") {
			return fmt.Errorf("job %s: a sync job needs a config tree or a source repository, and no app", j.ID)
		}
	default:
		return fmt.Errorf("job %s: unknown kind %q, expected deploy, sync, destroy or plan", j.ID, j.Kind)
	}
	if len(j.ID) != idLength || strings.Trim(string(j.ID), idAlphabet) != "" {
		return fmt.Errorf("job %q: an id has %d characters of %s", j.ID, idLength, idAlphabet)
	}
	if strings.ContainsFunc(j.App, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
		return fmt.Errorf("job %s: the app's name %q has a slash, a space or a control character", j.ID, j.App)
	}
	return nil
}
