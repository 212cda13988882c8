package deploy_test

import (
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
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
