package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// whole is an app that has something of everything.
const whole = `app: shop
org: personal
primary_region: ams
extra_regions: [fra]
source: {type: image, image: IMAGE}
env: {GREETING: TEXT}
processes: {web: serve, db: store}
http_service:
  internal_port: 8080
  processes: [web]
  checks: [{path: /, interval: 2s, timeout: 1s}]
mounts: [{source: data, destination: /data, processes: [db], initial_size: 1gb}]
machines: {web: {count: 1}, db: {count: 1}}
secrets: [{name: API_KEY, type: env}]
certs: [{hostname: shop.example.com}]
deploy: {release_command: migrate, wait_timeout: 3s}
schedules: [{name: nightly, command: tidy, every: daily}]
network: {ips: [{v: v6}, {v: v4, shared: true}]}
`

// wholeBench is a world with the whole app in its repository; commit gives it another text.
func wholeBench(t *testing.T) (b *bench, tree job.Config, commit func(text string)) {
	t.Helper()
	b = newBench(t, flysim.Options{})
	b.deployer.DigestKey = manifest.NewSecret("the key of the test")
	b.deployer.Secrets.Env = map[string]string{"API_KEY": "first-api-key"}
	img := b.Image("shop:1")
	repo := b.Repo("config")
	commit = func(text string) { repo.Commit(map[string]string{"shop/app.yaml": wholeOf(img, text)}) }
	commit("hi")
	return b, job.Config{Repo: repo.URL}, commit
}

func wholeOf(image, text string) string {
	return strings.NewReplacer("IMAGE", image, "TEXT", text).Replace(whole)
}

// shape is what the simulated Fly holds of an app, a line each, but for ids, times and history.
func (b *bench) shape(app string) string {
	b.tb.Helper()
	state := b.Sim.State()
	i := slices.IndexFunc(state.Apps, func(a flysim.AppState) bool { return a.Name == app })
	if i < 0 {
		return "no app"
	}
	a := state.Apps[i]
	var lines []string
	for _, m := range a.Machines {
		if m.State != "destroyed" && m.State != "destroying" && !strings.HasPrefix(m.Metadata["fly_process_group"], "fly_app_") {
			lines = append(lines, b.machineShape(m))
		}
	}
	for _, s := range a.Secrets {
		lines = append(lines, "secret "+s.Name+" "+s.Digest)
	}
	lines = append(lines, b.rest("volume", a.Volumes, "name", "region", "size_gb", "state")...)
	lines = append(lines, b.rest("ip", a.IPs, "shared", "region")...)
	lines = append(lines, b.rest("certificate", a.Certificates, "hostname")...)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (b *bench) machineShape(m flysim.MachineState) string {
	var config map[string]any
	if err := json.Unmarshal(m.Config, &config); err != nil {
		b.tb.Fatal(err)
	}
	ours := func(key string, _ any) bool {
		return key != "flycd_schedule" && (strings.HasPrefix(strings.ToLower(key), "flycd_") || strings.HasPrefix(key, "fly_release_"))
	}
	for _, part := range []string{"metadata", "env"} {
		all, _ := config[part].(map[string]any)
		maps.DeleteFunc(all, ours)
	}
	delete(config, "image") // each world has a registry, and images, of its own
	for _, mount := range asList(config["mounts"]) {
		delete(mount.(map[string]any), "volume")
	}
	text, err := json.Marshal(config)
	if err != nil {
		b.tb.Fatal(err)
	}
	state := m.State
	if m.Metadata["flycd_schedule"] != "" {
		state = "scheduled" // it runs now and then
	}
	return fmt.Sprint("machine ", m.Region, " ", state, " cordoned=", m.Cordoned, " ", string(text))
}

func asList(v any) []any { list, _ := v.([]any); return list }

// rest gives some keys of each object of a list.
func (b *bench) rest(kind string, raw json.RawMessage, keys ...string) []string {
	var list []map[string]any
	if err := json.Unmarshal(raw, &list); err != nil {
		b.tb.Fatal(err)
	}
	var lines []string
	for _, o := range list {
		line := kind
		for _, k := range keys {
			line += fmt.Sprint(" ", k, "=", o[k])
		}
		lines = append(lines, line)
	}
	return lines
}

// released counts how often release commands were run.
func (b *bench) released() int {
	n := 0
	for _, a := range b.Sim.State().Apps {
		for _, m := range a.Machines {
			if m.Metadata["fly_process_group"] == "fly_app_release_command" {
				n += m.Launches
			}
		}
	}
	return n
}

func TestWholeAppComesAndGoesOn(t *testing.T) {
	b, tree, commit := wholeBench(t)
	res := b.deploy("shop", tree, nil)
	b.expect(res, job.Created)
	if len(res.Pending) == 0 {
		t.Errorf("the certificate waits for DNS records, and the result names none: %+v", res)
	}
	shape := b.shape("shop")
	for want, n := range map[string]int{"machine ams started": 2, "machine fra started": 2, "volume name=data": 2, "ip ": 2, "secret API_KEY": 1, "certificate hostname=shop.example.com": 1, `"schedule":"daily"`: 1} {
		if got := strings.Count(shape, want); got < n {
			t.Errorf("%q is there %d times, want %d, in\n%s", want, got, n, shape)
		}
	}
	b.FlyRequests.Reset()
	b.expect(b.deploy("shop", tree, nil), job.Unchanged)
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("unchanged wrote to Fly: %v", w)
	}
	delete(b.last, "shop") // the long way
	b.FlyRequests.Reset()
	b.expect(b.deploy("shop", tree, nil), job.Unchanged)
	if w := b.FlyRequests.Writes(); len(w) > 0 {
		t.Errorf("unchanged, the long way, wrote to Fly: %v", w)
	}
	commit("again")
	b.expect(b.deploy("shop", tree, nil), job.Updated)
	if n := b.released(); n != 2 {
		t.Errorf("the release command ran %d times for two releases", n)
	}
}

func TestReleaseCommandThatFailsTouchesNothing(t *testing.T) {
	b := newBench(t, flysim.Options{})
	b.deployer.Secrets.Env = map[string]string{"API_KEY": "first-api-key"}
	good, bad, one := b.Image("shop:1"), b.Image("shop:2"), 1
	repo := b.Repo("config")
	repo.Commit(map[string]string{"shop/app.yaml": wholeOf(good, "hi")})
	tree := job.Config{Repo: repo.URL}
	b.expect(b.deploy("shop", tree, nil), job.Created)
	before := b.shape("shop")
	b.spoil(bad, flysim.Behavior{Exit: &one})
	repo.Commit(map[string]string{"shop/app.yaml": wholeOf(bad, "hi")})
	res := b.deploy("shop", tree, nil)
	b.expect(res, job.Failed)
	if !strings.Contains(res.Detail, "release command") {
		t.Errorf("detail %q", res.Detail)
	}
	if after := b.shape("shop"); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}
