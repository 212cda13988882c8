package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// deployed is how many apps one push deploys.
const deployed = 100

// BenchmarkDeploy100Apps is the whole system: one signed push of a config repository with a hundred apps,
// one runner process that reads it, and a runner process of its own for each app, all at once, until Redis
// says of every app that it is created. Each machine of an app is watched for ten seconds before it counts
// as running, as in production: that is the floor.
func BenchmarkDeploy100Apps(b *testing.B) {
	var took, cpu time.Duration
	for b.Loop() {
		t, c := deploy100(b)
		took, cpu = took+t, cpu+c
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/deploy")
	b.ReportMetric(milliseconds(cpu)/float64(b.N*deployed), "runner-cpu-ms")
}

// deploy100 gives the time from the push to the last app, and the processor time of the runners.
func deploy100(b *testing.B) (took, cpu time.Duration) {
	b.Helper()
	runner := buildFor(b, "../runner")
	around := deploytest.New(b, flysim.Options{Exec: map[string][]string{"runner": {runner}}})
	w := &world{b: b, redis: queuetest.Redis(b), binary: buildFor(b, "."), fly: around.FlyURL, token: deploytest.Token}
	w.connect()
	repo, files := around.Repo("acme/config"), map[string]string{}
	for i := range deployed {
		files[filepath.Join("apps", fmt.Sprint("app-", i), "app.yaml")] = fmt.Sprintf(
			"app: bench-%d\nprimary_region: arn\nsource: {type: image, image: \"example.com/acme/app@sha256:%064x\"}\nmachines: {count: 1}\nhttp_service: {internal_port: 8080}\n", i, i+1)
	}
	change := repo.Commit(files)
	d := w.dispatcher(deployed+1, "FLYCD_CONFIG_REPOS="+repo.URL, "FLYCD_NEXT_TOKEN=next-token")
	w.post("/v1/apps/runners/secrets", fmt.Sprintf(`{"values":{"REDIS_URL":%q,"FLY_API_TOKEN":%q,"FLY_FLAPS_BASE_URL":%q,"FLYCD_NEXT_URL":%q,"FLYCD_NEXT_TOKEN":"next-token"}}`,
		w.redis, w.token, w.fly, "http://"+d.addr+"/next"))
	body := strings.NewReplacer("https://github.com/acme/code-0.git", repo.URL, fmt.Sprintf("%040x", 0), change.Before, fmt.Sprintf("%040x", 1), change.After).
		Replace(string(newPushes(b).body(0, 0)))
	conn := d.dial(b)
	defer func() { _ = conn.Close() }()
	before := childrenCPU(b)
	began := time.Now()
	if err := roundTrip(conn, request(0, []byte(body)), make([]byte, 4096)); err != nil {
		b.Fatal(err)
	}
	for i := range deployed {
		w.created(d, fmt.Sprint("bench-", i))
	}
	took = time.Since(began)
	// What the runners have used is known when they have ended.
	if err := around.Sim.Close(); err != nil {
		b.Fatal(err)
	}
	return took, childrenCPU(b) - before
}

// created waits until an app is.
func (w *world) created(d *daemon, app string) {
	w.b.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		state, _, err := w.q.AppState(w.b.Context(), app)
		if err != nil {
			w.b.Fatal(err)
		}
		if state.LastOutcome == job.Created {
			return
		}
		if state.LastOutcome != "" {
			w.b.Fatalf("%s is %s: %s", app, state.LastOutcome, state.Result.Detail)
		}
	}
	w.b.Fatalf("%s is not created\n%s", app, d.tail())
}

// childrenCPU is the processor time of the processes that this one started and that have ended.
func childrenCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
