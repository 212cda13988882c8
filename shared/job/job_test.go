package job_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

func full() job.Job {
	return job.Job{
		ID: job.SaltedID(job.Deploy, "web", "x"), Kind: job.Deploy, App: "web", Org: "acme",
		Config: job.Config{Repo: "https://github.com/acme/config", Ref: "main", Path: "prod"},
		Half:   job.Half{Side: job.SourceSide, Repo: "https://github.com/acme/code", Ref: "refs/heads/main", Default: true, Commit: "abc", Digest: "d"},
		Order:  job.Order{Time: 1_700_000_000_123, Before: "b", After: "a"}, Reason: "push", Delivery: "guid", Actor: "eve",
		Created: time.UnixMilli(1_700_000_000_123).UTC(), Force: true, Confirm: true, Low: true,
	}
}

func TestJobSurvivesItsEncoding(t *testing.T) {
	want := full()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := job.Decode(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func TestBadJobIsRejected(t *testing.T) {
	id := string(full().ID)
	for name, text := range map[string]string{
		"no JSON":            `{`,
		"nothing":            ``,
		"unknown kind":       `{"id":"` + id + `","kind":"explode","app":"web"}`,
		"no app":             `{"id":"` + id + `","kind":"deploy"}`,
		"sync with an app":   `{"id":"` + id + `","kind":"sync","app":"web","config":{"repo":"x"}}`,
		"sync of nothing":    `{"id":"` + id + `","kind":"sync"}`,
		"no id":              `{"kind":"deploy","app":"web"}`,
		"an id with a slash": `{"id":"` + strings.Repeat("/", 26) + `","kind":"deploy","app":"web"}`,
		"an app with a line": `{"id":"` + id + `","kind":"deploy","app":"we\nb"}`,
		"an app with spaces": `{"id":"` + id + `","kind":"deploy","app":"we b"}`,
	} {
		if j, err := job.Decode([]byte(text)); !errors.Is(err, job.ErrRejected) {
			t.Errorf("%s: got %+v, %v, want a rejection", name, j, err)
		}
	}
}

func TestIDSaysWhatIsAsked(t *testing.T) {
	p := job.Push{Kind: job.Deploy, Subject: "web", Repo: "https://github.com/acme/code", Ref: "refs/heads/main", Before: "b", After: "a", Time: 1}
	same := p
	same.Repo = "git@github.com:Acme/code.git"
	if p.ID() != same.ID() {
		t.Error("two spellings of one repository are two pushes")
	}
	ids := map[job.ID]string{}
	add := func(what string, id job.ID) {
		if len(id) != 26 || strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("id of %s is %q", what, id)
		}
		if other := ids[id]; other != "" {
			t.Errorf("%s and %s have one id", what, other)
		}
		ids[id] = what
	}
	add("push", p.ID())
	for what, change := range map[string]func(*job.Push){
		"kind": func(p *job.Push) { p.Kind = job.Plan }, "subject": func(p *job.Push) { p.Subject = "api" },
		"repo": func(p *job.Push) { p.Repo += "x" }, "ref": func(p *job.Push) { p.Ref += "x" },
		"before": func(p *job.Push) { p.Before += "x" }, "after": func(p *job.Push) { p.After += "x" },
		"time":  func(p *job.Push) { p.Time++ },
		"shift": func(p *job.Push) { p.Before, p.After = "", "ba" },
	} {
		q := p
		change(&q)
		add(what, q.ID())
	}
	add("child", job.ChildID(p.ID(), job.Deploy, "web", "c1"))
	add("child of a head that moved", job.ChildID(p.ID(), job.Deploy, "web", "c2"))
	add("other child", job.ChildID(p.ID(), job.Deploy, "api", "c1"))
	add("destroyed child", job.ChildID(p.ID(), job.Destroy, "web", "c1"))
	add("salted", job.SaltedID(job.Deploy, "web", "1"))
	add("salted again", job.SaltedID(job.Deploy, "web", "2"))
}

func TestByHandIsAPersons(t *testing.T) {
	for reason, want := range map[string]bool{"deploy": true, "dispatch": true, "push": false, "sync": false, "sweep": false, "": false} {
		if got := (job.Job{Reason: reason}).ByHand(); got != want {
			t.Errorf("%q by hand: %v, want %v", reason, got, want)
		}
	}
}

func TestSubjectsOfDifferentKindsNeverCollide(t *testing.T) {
	for want, j := range map[string]job.Job{
		"web":                             {Kind: job.Deploy, App: "web", Config: job.Config{Repo: "https://github.com/a/b"}},
		"github.com/a/b@main#x/y":         {Kind: job.Sync, Config: job.Config{Repo: "https://github.com/a/b", Ref: "main", Path: "/x/y/"}},
		"fan-out:github.com/a/b@refs/x/y": {Kind: job.Sync, Half: job.Half{Repo: "git@github.com:a/b", Ref: "refs/x/y"}},
	} {
		if got := j.Subject(); got != want {
			t.Errorf("subject is %q, want %q", got, want)
		}
	}
}

func TestRejectionKeepsItsTextAndCause(t *testing.T) {
	cause := errors.New("no such file")
	err := fmt.Errorf("read app.yaml: %w", job.Reject(cause))
	if !errors.Is(err, job.ErrRejected) || !errors.Is(err, cause) || err.Error() != "read app.yaml: no such file" {
		t.Errorf("got %v", err)
	}
	if job.Reject(nil) != nil {
		t.Error("nothing was rejected")
	}
	if err := job.Rejectf("bad: %w", cause); !errors.Is(err, cause) || !errors.Is(err, job.ErrRejected) {
		t.Errorf("got %v", err)
	}
}

func TestOutcomeIsDone(t *testing.T) {
	for o, want := range map[job.Outcome]bool{
		job.Created: true, job.Updated: true, job.Unchanged: true,
		job.Superseded: false, job.Cancelled: false, job.Rejected: false, job.Failed: false, "": false,
	} {
		if o.Done() != want {
			t.Errorf("%q is done: %v, want %v", o, o.Done(), want)
		}
	}
}
