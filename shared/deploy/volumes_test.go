package deploy_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
)

// disk is a volume as the simulated Fly holds it.
type disk struct {
	ID, Name, Region  string
	SizeGB            int     `json:"size_gb"`
	SnapshotRetention int     `json:"snapshot_retention"`
	AttachedMachine   *string `json:"attached_machine_id"`
}

// disks are hello's volumes.
func (b *bench) disks() []disk {
	b.tb.Helper()
	for _, a := range b.Sim.State().Apps {
		if a.Name == "hello" {
			return decoded[[]disk](b, a.Volumes)
		}
	}
	return nil
}

func decoded[T any](b *bench, text []byte) T {
	b.tb.Helper()
	var out T
	if err := json.Unmarshal(text, &out); err != nil {
		b.tb.Fatal(err)
	}
	return out
}

const mounted = "mounts: [{source: data, destination: /data}]\nmachines: {count: 2}\nvolumes: [{name: data, size_gb: SIZE}]\n"

func sized(size string) string { return strings.Replace(mounted, "SIZE", size, 1) }

func TestVolumesGrowAndNeverShrink(t *testing.T) {
	a := appOf(t, flysim.Options{})
	img := a.Image("hello:1")
	a.write(img, sized("1"))
	a.expect(a.run(), job.Created)
	first := a.disks()
	if len(first) != 2 || first[0].SizeGB != 1 {
		t.Fatalf("volumes %+v", first)
	}
	a.rests(t)

	a.write(img, sized("3"))
	a.expect(a.run(), job.Updated)
	for i, d := range a.disks() {
		if d.SizeGB != 3 || d.ID != first[i].ID {
			t.Errorf("volume %+v, want 3 GB of %s", d, first[i].ID)
		}
	}
	a.rests(t)

	a.write(img, sized("3, snapshot_retention: 9"))
	a.FlyRequests.Reset()
	a.expect(a.run(), job.Updated)
	for _, d := range a.disks() {
		if d.SnapshotRetention != 9 {
			t.Errorf("volume %+v keeps snapshots so long", d)
		}
	}
	a.rests(t)

	a.write(img, sized("2"))
	before := a.shape("hello")
	a.FlyRequests.Reset()
	res := a.run()
	a.expect(res, job.Rejected)
	if w := a.machineWrites(); w > 0 || a.shape("hello") != before || !strings.Contains(res.Detail, "cannot shrink") {
		t.Errorf("%d writes: %s", w, res.Detail)
	}
}

// destroy destroys hello's machine behind FlyCD's back.
func (b *bench) destroy(id string) {
	b.tb.Helper()
	req, err := http.NewRequestWithContext(b.tb.Context(), http.MethodDelete, b.FlyURL+"/v1/apps/hello/machines/"+id+"?force=true", nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+deploytest.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.tb.Fatalf("destroy %s: %s", id, resp.Status)
	}
	held := func(d disk) bool { return d.AttachedMachine != nil && *d.AttachedMachine == id }
	for slices.ContainsFunc(b.disks(), held) {
		time.Sleep(time.Millisecond)
	}
}

func TestMachineFindsItsOldVolume(t *testing.T) {
	a := appOf(t, flysim.Options{})
	a.write(a.Image("hello:1"), sized("1"))
	a.expect(a.run(), job.Created)
	before := a.disks()
	a.destroy(*before[0].AttachedMachine)
	a.expect(a.run(), job.Updated)
	after := a.disks()
	if len(after) != 2 || len(a.alive()) != 2 {
		t.Fatalf("volumes %+v, before %+v", after, before)
	}
	for _, d := range after {
		if d.AttachedMachine == nil {
			t.Errorf("nobody has volume %+v", d)
		}
	}
	a.rests(t)
}

func TestVolumeGoesOnlyOnAPersonsWord(t *testing.T) {
	a := appOf(t, flysim.Options{})
	img := a.Image("hello:1")
	with := "  processes: [app]\n" + strings.Replace(sized("1"), "machines: {count: 2}", "processes: {app: serve, db: store}\nmachines: {app: {count: 1}, db: {count: 1}}", 1)
	with = strings.Replace(with, "destination: /data", "destination: /data, processes: [db]", 1)
	const without = "  processes: [app]\nprocesses: {app: serve}\nmachines: {app: {count: 1}}\n"
	a.write(img, with)
	a.expect(a.run(), job.Created)

	a.write(img, without) // the machine goes, its volume stays
	a.expect(a.run(), job.Updated)
	if d := a.disks(); len(d) != 1 {
		t.Fatalf("volumes %+v", d)
	}
	a.rests(t)

	a.write(img, without+"sync: {prune: true}\n")
	res := a.run()
	if notes := strings.Join(res.Warnings, "\n"); len(a.disks()) != 1 || !strings.Contains(notes, "volume data") || !strings.Contains(notes, "--confirm") {
		t.Fatalf("volumes %+v, notes %q", a.disks(), notes)
	}
	a.expect(a.confirmed(), job.Updated)
	if d := a.disks(); len(d) != 0 {
		t.Errorf("volumes %+v", d)
	}
	a.rests(t)

	// the same in one go
	a.write(img, with+"sync: {prune: true}\n")
	a.expect(a.run(), job.Updated)
	a.write(img, without+"sync: {prune: true}\n")
	a.expect(a.confirmed(), job.Updated)
	if d := a.disks(); len(d) != 0 || len(a.alive()) != 1 {
		t.Errorf("volumes %+v, machines %d", d, len(a.alive()))
	}
	a.rests(t)
}

// place is an address as the simulated Fly holds it.
type place struct {
	IP     string `json:"ip"`
	Shared bool   `json:"shared"`
	Region string `json:"region"`
}

// places are hello's addresses: those that it is called at, and those that it calls from.
func (b *bench) places() (in, out []place) {
	b.tb.Helper()
	for _, a := range b.Sim.State().Apps {
		if a.Name == "hello" {
			return decoded[[]place](b, a.IPs), decoded[[]place](b, a.Egress)
		}
	}
	return nil, nil
}

func TestAddressesComeAndGo(t *testing.T) {
	a := appOf(t, flysim.Options{})
	img := a.Image("hello:1")
	a.write(img, "network: {auto_prune_ips: true, ips: [{v: v6}, {v: v6}, {v: v4, shared: true}]}\n")
	a.expect(a.run(), job.Created)
	in, out := a.places()
	if len(in) != 3 || len(out) != 0 {
		t.Fatalf("addresses %v and %v", in, out)
	}
	a.rests(t)

	a.write(img, "network: {auto_prune_ips: true, ips: [{v: v6}, {v: v4}, {v: v4, egress: true, region: ams}]}\n")
	res := a.run()
	a.expect(res, job.Updated)
	in, out = a.places()
	four := slices.ContainsFunc(in, func(p place) bool { return !p.Shared && !strings.Contains(p.IP, ":") })
	shared := slices.ContainsFunc(in, func(p place) bool { return p.Shared })
	// the shared one may go, since it can be had again; the second dedicated one may not
	if len(in) != 3 || !four || shared || len(out) != 2 || !strings.Contains(strings.Join(res.Warnings, "\n"), "--confirm") {
		t.Errorf("addresses %v and %v, notes %q", in, out, res.Warnings)
	}
	a.expect(a.confirmed(), job.Updated)
	if in, _ = a.places(); len(in) != 2 {
		t.Errorf("addresses %v", in)
	}
	a.rests(t)

	a.write(img, "network: {auto_prune_ips: true, ips: [{v: v6}, {v: v4}]}\n")
	a.run()
	if _, out = a.places(); len(out) != 2 {
		t.Fatalf("without a person's word, addresses %v are left to call from", out)
	}
	a.expect(a.confirmed(), job.Updated)
	if in, out = a.places(); len(in) != 2 || len(out) != 0 {
		t.Errorf("addresses %v and %v", in, out)
	}
	a.rests(t)
}
