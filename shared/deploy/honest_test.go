package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/plan"
)

const sleepy = "  auto_stop_machines: stop\n  auto_start_machines: true\ndeploy: {wait_timeout: 400ms}\n"

// spoil gives all images of a repository a fate.
func (b *bench) spoil(image string, fate flysim.Behavior) {
	b.Sim.SetImage(image[:strings.LastIndex(image, ":")], fate)
}

// An app that may sleep has to have run once: a machine that was just made is stopped as well.
func TestWhatMaySleepHasToStartFirst(t *testing.T) {
	one := 1
	for name, fate := range map[string]flysim.Behavior{"never boots": {Stuck: true}, "crashes": {Exit: &one}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, flysim.Options{})
			good, bad := b.Image("hello:1"), b.Image("bad:1")
			b.spoil(bad, fate)
			dir := t.TempDir()
			tree := job.Config{Repo: dir}
			write(t, dir, map[string]string{"app.yaml": manifestOf(good, "hi") + sleepy})
			b.expect(b.deploy("hello", tree, nil), job.Created)
			write(t, dir, map[string]string{"app.yaml": manifestOf(bad, "bye") + sleepy})
			b.expect(b.deploy("hello", tree, nil), job.Failed)
			write(t, dir, map[string]string{"app.yaml": manifestOf(bad, "bye") + sleepy + "on_failure: none\n"})
			b.expect(b.deploy("hello", tree, nil), job.Failed)
			b.expect(b.deploy("hello", tree, nil), job.Failed)
		})
	}
}

// A machine that somebody gave another image is put right, though its metadata speak of the build.
func TestForeignImageIsDrift(t *testing.T) {
	b := newBench(t, flysim.Options{})
	repo := b.Repo("shop")
	repo.Commit(map[string]string{
		"app.yaml":       "app: shop\norg: personal\nprimary_region: ams\nmachines: {count: 2}\nsource: {type: git, repo: \"" + repo.URL + "\", path: src}\n",
		"src/Dockerfile": "FROM scratch\n",
	})
	tree := job.Config{Repo: repo.URL}
	first := b.deploy("shop", tree, nil)
	b.expect(first, job.Created)

	ch, err := b.deployer.Fly.Begin(t.Context(), "shop", plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ch.Observed().Machines {
		m.Config.Image = "registry.fly.io/other:t-1@sha256:" + strings.Repeat("0", 64)
		if err := ch.Apply(t.Context(), plan.UpdateMachine{App: "shop", Machine: m, Config: m.Config}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	b.Sim.Advance(time.Second)

	b.expect(b.deploy("shop", tree, nil), job.Updated)
	o, err := b.deployer.Fly.Observe(t.Context(), "shop", plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range o.Machines {
		if m.Config.Image != first.Image {
			t.Errorf("machine %s runs %s, want %s", m.ID, m.Config.Image, first.Image)
		}
	}
}
