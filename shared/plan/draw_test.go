package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// apps draws manifests of one app that differ in everything but the names of their volumes.
func apps(t *rapid.T) *manifest.App {
	app := &manifest.App{Name: "shop", PrimaryRegion: rapid.SampledFrom([]string{"ams", "fra", ""}).Draw(t, "primary")}
	if app.PrimaryRegion != "" {
		app.ExtraRegions = rapid.SampledFrom([][]string{nil, {"arn"}, {"arn", "iad"}}).Draw(t, "extra")
	}
	app.HA = new(rapid.Bool().Draw(t, "ha"))
	app.Env = rapid.MapOfN(rapid.SampledFrom([]string{"A", "B"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 2).Draw(t, "env")
	app.Machines.Count = counts(t, "count")
	if rapid.Bool().Draw(t, "sized") {
		app.Machines.RAMMB = new(512)
	}
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"app", "web", "worker"}), 1, 3, rapid.ID).Draw(t, "groups")
	app.Processes, app.Machines.Groups = map[string]string{}, map[string]manifest.Guest{}
	for _, name := range names {
		app.Processes[name] = rapid.SampledFrom([]string{"", "run it", "serve"}).Draw(t, "command")
		app.Machines.Groups[name] = manifest.Guest{Count: counts(t, name+" count")}
		if rapid.Bool().Draw(t, name+" mounts") {
			app.Mounts = append(app.Mounts, manifest.Mount{Source: name + "_data", Destination: rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "path"), Processes: []string{name}})
		}
		if rapid.Bool().Draw(t, name+" serves") {
			app.Services = append(app.Services, service(t, name))
		}
		if rapid.Bool().Draw(t, name+" restarts") {
			app.Restart = append(app.Restart, manifest.Restart{Policy: rapid.SampledFrom([]string{"always", "never", "on-failure"}).Draw(t, "policy"), Processes: []string{name}})
		}
	}
	if rapid.Bool().Draw(t, "files") {
		app.Files = []manifest.File{{GuestPath: "/etc/x", RawValue: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "content")}}
	}
	section := &manifest.DeploySection{Strategy: rapid.SampledFrom(strategies(app)).Draw(t, "strategy")}
	section.ReleaseCommand = rapid.SampledFrom([]string{"", "migrate"}).Draw(t, "release command")
	section.SeedCommand = rapid.SampledFrom([]string{"", "seed"}).Draw(t, "seed command")
	others(t, app)
	section.MaxUnavailable = new(rapid.SampledFrom([]float64{0.33, 0.9, 1, 3}).Draw(t, "unavailable"))
	app.DeploySection = section
	return app
}

// strategies are those that go with the app's mounts and checks.
func strategies(app *manifest.App) []string {
	all := []string{"", "rolling", "immediate"}
	if len(app.Mounts) > 0 {
		return all
	}
	if len(app.Services) > 0 {
		all = append(all, "bluegreen", "bluegreen")
	}
	return append(all, "canary")
}

// others draws what an app has beside its groups.
func others(t *rapid.T, app *manifest.App) {
	if rapid.Bool().Draw(t, "sized volumes") {
		for _, m := range app.Mounts {
			app.Volumes = append(app.Volumes, manifest.Volume{Name: m.Source, SizeGB: 2, Count: counts(t, "volumes"), SnapshotRetention: new(rapid.IntRange(4, 6).Draw(t, "retention"))})
		}
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"clean", "report"}), 0, 2, rapid.ID).Draw(t, "schedules") {
		app.Schedules = append(app.Schedules, manifest.Schedule{Name: name, Command: name + " all", Every: rapid.SampledFrom([]string{"hourly", "daily"}).Draw(t, "every")})
	}
	for _, host := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.example.com", "b.example.com"}), 0, 2, rapid.ID).Draw(t, "certs") {
		app.Certs = append(app.Certs, manifest.Cert{Hostname: host})
	}
	for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"redis", "tigris", "postgres"}), 0, 2, rapid.ID).Draw(t, "addons") {
		app.Addons = append(app.Addons, manifest.Addon{Type: kind})
	}
	if rapid.Bool().Draw(t, "machine checks") {
		app.MachineChecks = []manifest.MachineCheck{{Command: []string{"true"}}}
	}
	for range rapid.IntRange(0, 3).Draw(t, "addresses") {
		app.Network.IPs = append(app.Network.IPs, rapid.SampledFrom([]manifest.IP{{V: "v4"}, {V: "v6"}, {V: "v6", Region: "ams"}, {V: "v4", Shared: true}, {V: "v4", Egress: true, Region: "ams"}}).Draw(t, "address"))
	}
	app.Network.AutoPruneIPs, app.SecretsPrune = rapid.Bool().Draw(t, "prune addresses"), rapid.Bool().Draw(t, "prune secrets")
	app.Sync.Prune = new(rapid.Bool().Draw(t, "prune"))
	app.Sync.Ignore = rapid.SampledFrom([][]string{nil, nil, nil, {"machines.count"}, {"env.A"}, {"machines.*.size", "secrets.TOKEN"}, {"ips", "services"}}).Draw(t, "ignore")
}

func counts(t *rapid.T, label string) *int {
	if rapid.Bool().Draw(t, label+" written") {
		return nil
	}
	return new(rapid.IntRange(0, 4).Draw(t, label))
}

func service(t *rapid.T, group string) manifest.Service {
	stop := manifest.Autostop(rapid.SampledFrom([]string{"off", "stop", "suspend"}).Draw(t, "autostop"))
	return manifest.Service{
		Protocol: "tcp", InternalPort: rapid.SampledFrom([]int{80, 8080}).Draw(t, "port"), Processes: []string{group}, AutoStopMachines: &stop,
		Ports: []manifest.Port{{Port: new(80), Handlers: []string{"http"}}},
		HTTPChecks: []manifest.HTTPCheck{{
			Path: new("/"), Interval: new(manifest.Duration(15 * time.Second)),
			Headers: map[string]string{"B": "1", "A": "2"},
		}},
	}
}

func intents(t *rapid.T, label string) plan.Intent {
	app := apps(t)
	target, err := machine.Translate(app, machine.Inputs{})
	if err != nil {
		t.Fatalf("translate %s: %v", label, err)
	}
	want := intentOf(target, rapid.SampledFrom([]string{"1", "2"}).Draw(t, label+" image"))
	want.Job, want.Confirm, want.First = "job-"+label, rapid.Bool().Draw(t, label+" confirmed"), label == "first"
	want.Metadata[plan.MetaJob] = want.Job
	want.Secrets = secretsOf(rapid.MapOfN(rapid.SampledFrom([]string{"TOKEN", "KEY"}), rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, label+" secrets"))
	return want
}

// provide hands over the values of the secrets, which are in their MACs here.
func (a *account) provide(want plan.Intent) {
	a.values = map[string]string{}
	for _, s := range want.Secrets {
		a.values[s.Name] = s.MAC[len("mac"):]
	}
}

// later is the same wish of another job.
func later(want plan.Intent) plan.Intent {
	want.Job, want.First = "job-later", false
	want.Metadata = maps.Clone(want.Metadata)
	want.Metadata[plan.MetaJob] = want.Job
	return want
}

func intentOf(target machine.Target, tag string) plan.Intent {
	return plan.Intent{
		Target: target, Image: image(tag),
		Metadata: map[string]string{"flycd_digest": tag, "flycd_commit": "c" + tag},
		Env:      map[string]string{"FLYCD_APP_VERSION": "c" + tag},
	}
}

// diff gives the plan, or ends the check where the change is one that FlyCD refuses.
func diff(t *rapid.T, o plan.Observed, want plan.Intent) plan.Plan {
	p, err := plan.Diff(o, want)
	var refused *plan.Refused
	if errors.As(err, &refused) {
		t.SkipNow()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (a *account) snapshot() plan.Observed {
	o := a.o
	o.Machines, o.Volumes, o.IPs = slices.Clone(o.Machines), slices.Clone(o.Volumes), slices.Clone(o.IPs)
	o.Secrets, o.Certs, o.Addons, o.Commands = slices.Clone(o.Secrets), slices.Clone(o.Certs), slices.Clone(o.Addons), slices.Clone(o.Commands)
	return o
}

func lines(p plan.Plan) string {
	raw, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// census lists the machines by what they are, without the ids that only Fly chooses.
func census(o plan.Observed) string {
	var all []string
	for _, m := range o.Machines {
		c := m.Config
		ports := make([]int, len(c.Services))
		for i, s := range c.Services {
			ports[i] = s.InternalPort
		}
		all = append(all, fmt.Sprintf("%s%s %s %s env=%v cmd=%v ports=%v mounts=%d standby=%v digest=%s", c.ProcessGroup(), c.Metadata[plan.MetaSchedule], m.Region, m.ImageRef.Digest[:12], filtered(c.Env), c.Init.Cmd, ports, len(c.Mounts), len(c.Standbys) > 0, c.Metadata["flycd_digest"]))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// possessions lists what else the app has.
func possessions(o plan.Observed) string {
	var all []string
	for _, v := range o.Volumes {
		all = append(all, fmt.Sprintf("volume %s %s %d GB %d days", v.Name, v.Region, v.SizeGb, v.SnapshotRetention))
	}
	for _, ip := range o.IPs {
		all = append(all, fmt.Sprintf("address v6=%v %s shared=%v egress=%v", strings.Contains(ip.Address, ":"), ip.Region, ip.Shared, ip.Egress))
	}
	for _, s := range o.Secrets {
		all = append(all, "secret "+s.Name+" "+s.Digest)
	}
	for _, c := range o.Certs {
		all = append(all, "certificate "+c.Hostname)
	}
	for _, a := range o.Addons {
		all = append(all, "add-on "+a.Type+" "+a.Name)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func filtered(env map[string]string) string {
	return fmt.Sprint(env["A"], "/", env["B"])
}
