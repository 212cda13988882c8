package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// builds is a world with runners that build: a real buildkitd in a real sandbox, and a real registry.
type builds struct {
	*deploytest.World
	t        *testing.T
	redis    string
	queue    *queue.Queue
	registry string
	// base is an image with a shell, door what its steps may reach beside the registry.
	base         string
	door         *door
	config, code *deploytest.Repo
	entries      []catalog.Entry
	n            int
}

func newBuilds(t *testing.T) *builds {
	t.Helper()
	imagetest.Need(t, "buildkitd", "runc", "docker-registry", "busybox")
	t.Parallel() // they wait for machines most of the time
	b := &builds{t: t, redis: queuetest.Redis(t), World: deploytest.New(t, flysim.Options{}), registry: imagetest.Registry(t, "")}
	b.base, b.door = imagetest.Busybox(t, b.registry, probeProgram(t)), newDoor(t)
	b.config, b.code = b.Repo("config"), b.Repo("code")
	var err error
	if b.queue, err = queue.Open(b.redis, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.queue.Close() })
	return b
}

// commit writes the manifests of apps that are built from the code's repository; more is by app.
func (b *builds) commit(more map[string]string) {
	b.t.Helper()
	b.commitOf(b.code, more)
}

// commitOf is commit for another repository than the code's.
func (b *builds) commitOf(code *deploytest.Repo, more map[string]string) {
	b.t.Helper()
	files := map[string]string{}
	for app, text := range more {
		files[app+"/app.yaml"] = "app: " + app + "\norg: personal\nprimary_region: ams\nsource: {type: git, repo: \"" + code.URL + "\"}\n" + text
	}
	b.config.Commit(files)
}

// log is what is kept in Redis of what a job said.
func (b *builds) log(id job.ID) string {
	b.t.Helper()
	lines, err := b.queue.Tail(b.t.Context(), id, "", 100000)
	if err != nil {
		b.t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.Text + "\n")
	}
	return text.String()
}

// took is what became of a job.
type took struct {
	queue.Record
	said string
}

// built reports whether the runner built an image.
func (r took) built() bool { return strings.Contains(r.said, "msg=building") }

// launch pushes a deploy of the app and takes it.
func (b *builds) launch(app string) queue.Launch {
	b.t.Helper()
	b.n++
	j := job.Job{ID: job.SaltedID(job.Deploy, app, fmt.Sprint(b.n)), Kind: job.Deploy, App: app, Config: job.Config{Repo: b.config.URL}, Created: time.Now()}
	if _, _, err := b.queue.Push(b.t.Context(), queue.Delivery{Jobs: []job.Job{j}}); err != nil {
		b.t.Fatal(err)
	}
	l, ok, err := b.queue.Take(b.t.Context(), 20)
	if err != nil || !ok {
		b.t.Fatalf("nothing to launch: %v", err)
	}
	return l
}

// run lets a runner do what was launched.
func (b *builds) run(l queue.Launch, more ...string) took {
	b.t.Helper()
	var said bytes.Buffer
	if code := run(b.t.Context(), nil, environment{vars: b.vars(l, more...), out: &said, err: &said}); code != exitOK {
		b.t.Errorf("exit code %d:\n%s", code, said.String())
	}
	return took{b.record(l), said.String()}
}

// vars are the environment of a runner.
func (b *builds) vars(l queue.Launch, more ...string) []string {
	return append([]string{
		"FLYCD_JOB=" + string(l.Job.ID), fmt.Sprintf("FLYCD_ATTEMPT=%d", l.Attempt), "FLY_MACHINE_ID=m-" + string(l.Job.ID),
		"REDIS_URL=" + b.redis, "FLY_API_TOKEN=" + deploytest.Token, "FLYCD_LOG=text,debug", "PATH=" + os.Getenv("PATH"),
		"FLY_FLAPS_BASE_URL=" + b.FlyURL, "FLY_API_BASE_URL=" + b.FlyURL, "FLY_UIEX_BASE_URL=" + b.FlyURL,
		"FLYCD_SMOKE=200ms", "FLYCD_BUILDER=buildkit", "FLY_REGISTRY_HOST=" + b.registry, "FLYCD_BUILD_ALLOW=" + b.registry + "," + b.door.addr,
	}, more...)
}

func (b *builds) record(l queue.Launch) queue.Record {
	b.t.Helper()
	record, err := b.queue.Job(b.t.Context(), l.Job.ID)
	if err != nil {
		b.t.Errorf("no record: %v", err)
	}
	return record
}

func (b *builds) deploy(app string, more ...string) took {
	b.t.Helper()
	return b.run(b.launch(app), more...)
}

func (b *builds) expect(r took, want job.Outcome, built bool) {
	b.t.Helper()
	if r.Result.Outcome != want || r.built() != built {
		b.t.Fatalf("outcome %s (%s), built %v; want %s, built %v\n%s", r.Result.Outcome, r.Result.Detail, r.built(), want, built, r.said)
	}
}

// images are the images that the app's machines run.
func (b *builds) images(app string) []string {
	var all []string
	for _, a := range b.Sim.State().Apps {
		for _, m := range a.Machines {
			var config struct{ Image string }
			if err := json.Unmarshal(m.Config, &config); err == nil && a.Name == app {
				all = append(all, config.Image)
			}
		}
	}
	return all
}

// retry says how often a failed job of the app is tried; the waits in between are short.
func (b *builds) retry(app string, most int) {
	b.t.Helper()
	ctx, tree := b.t.Context(), job.Config{Repo: b.config.URL}
	b.entries = append(b.entries, catalog.Entry{App: app, Config: tree, Retry: catalog.Retry{Limit: most, BackoffMS: 10}})
	gen, err := b.queue.BeginGeneration(ctx, tree)
	if err == nil {
		_, err = b.queue.WriteEntries(ctx, tree, gen, b.entries)
	}
	if err == nil {
		_, err = b.queue.SwitchGeneration(ctx, queue.Switch{Config: tree, Generation: gen})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
