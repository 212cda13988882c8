package flysim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

func TestVolumesAttachAndGrow(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "disks")
	v, err := c.CreateVolume(t.Context(), "disks", flygo.CreateVolumeRequest{Name: "data", Region: "ams", SizeGb: ptr(2), SnapshotRetention: ptr(7)})
	need(t, err)
	if v.SizeGb != 2 || !v.Encrypted || v.IsAttached() || v.SnapshotRetention != 7 {
		t.Errorf("volume %+v", v)
	}
	cfg := config("nginx")
	cfg.Mounts = []flygo.MachineMount{{Volume: v.ID, Path: "/data"}}
	m := launch(t, c, "disks", flygo.LaunchMachineInput{Config: cfg})
	_, err = c.Launch(t.Context(), "disks", flygo.LaunchMachineInput{Region: "ams", Config: cfg})
	wantStatus(t, err, http.StatusPreconditionFailed, "already attached to machine "+m.ID)
	_, err = c.Launch(t.Context(), "disks", flygo.LaunchMachineInput{Region: "fra", Config: cfg})
	wantStatus(t, err, http.StatusUnprocessableEntity, "is in region ams")
	_, err = c.DeleteVolume(t.Context(), "disks", v.ID)
	wantStatus(t, err, http.StatusPreconditionFailed, "attached")
	waitFor(t, c, "disks", m.ID, "started")
	_, restart, err := c.ExtendVolume(t.Context(), "disks", v.ID, 4)
	need(t, err)
	if !restart {
		t.Error("the file system of a running machine grew without a restart")
	}
	need(t, c.Stop(t.Context(), "disks", flygo.StopMachineInput{ID: m.ID}, ""))
	waitFor(t, c, "disks", m.ID, "stopped")
	grown, restart, err := c.ExtendVolume(t.Context(), "disks", v.ID, 5)
	need(t, err)
	if grown.SizeGb != 5 || restart || *grown.AttachedMachine != m.ID {
		t.Errorf("grown %+v %v", grown, restart)
	}
	_, _, err = c.ExtendVolume(t.Context(), "disks", v.ID, 1)
	wantStatus(t, err, http.StatusUnprocessableEntity, "can only grow")
	_, err = c.UpdateVolume(t.Context(), "disks", v.ID, flygo.UpdateVolumeRequest{SnapshotRetention: ptr(9)})
	need(t, err)
	need(t, c.CreateVolumeSnapshot(t.Context(), "disks", v.ID))
	snaps, err := c.GetVolumeSnapshots(t.Context(), "disks", v.ID)
	need(t, err)
	if len(snaps) != 1 || snaps[0].Status != "created" {
		t.Errorf("snapshots %+v", snaps)
	}
	// a config without the mount gives the volume back
	_, err = c.Update(t.Context(), "disks", flygo.LaunchMachineInput{ID: m.ID, Config: config("nginx")}, "")
	need(t, err)
	all, err := c.GetVolumes(t.Context(), "disks")
	need(t, err)
	if len(all) != 1 || all[0].IsAttached() || all[0].SnapshotRetention != 9 {
		t.Errorf("volumes %+v", all)
	}
	_, err = c.DeleteVolume(t.Context(), "disks", v.ID)
	need(t, err)
	all, err = c.GetVolumes(t.Context(), "disks")
	need(t, err)
	if len(all) != 0 {
		t.Errorf("volumes %+v", all)
	}
	s.Advance(time.Second)
	_, err = c.GetVolume(t.Context(), "disks", v.ID)
	wantStatus(t, err, http.StatusNotFound, "volume not found")
}

func TestSecretsShowNoValues(t *testing.T) {
	s, url := start(t, flysim.Options{})
	c := newApp(t, url, "vault")
	res, err := c.UpdateAppSecrets(t.Context(), "vault", map[string]*string{"A": ptr("topsecret"), "B": ptr("y")})
	need(t, err)
	if res.Version != 1 || len(res.Secrets) != 2 || res.Secrets[0].Digest == "" || res.Secrets[0].Value != nil {
		t.Errorf("set %+v", res)
	}
	gone, err := c.DeleteAppSecret(t.Context(), "vault", "never-there")
	need(t, err)
	if gone.Version != 2 {
		t.Errorf("removing what is not there gives the version %d, want 2", gone.Version)
	}
	shown, err := c.GetAppSecrets(t.Context(), "vault", "A", nil, true)
	need(t, err)
	if *shown.Value != "topsecret" {
		t.Errorf("shown %+v", shown)
	}
	_, err = c.GetAppSecrets(t.Context(), "vault", "C", nil, false)
	wantStatus(t, err, http.StatusNotFound, "secret C not found")
	list, err := c.ListAppSecrets(t.Context(), "vault", ptr(uint64(2)), false)
	need(t, err)
	if len(list) != 2 || list[0].Digest == list[1].Digest {
		t.Errorf("list %+v", list)
	}
	_, err = c.ListAppSecrets(t.Context(), "vault", ptr(uint64(9)), false)
	wantStatus(t, err, http.StatusPreconditionFailed, "not yet available")
	_, err = c.SetAppSecret(t.Context(), "vault", "A", "other")
	need(t, err)
	_, state := raw(t, http.MethodGet, url+"/_sim/state", "")
	if strings.Contains(state, "topsecret") || !strings.Contains(state, s.State().Apps[0].Secrets[0].Digest) {
		t.Errorf("the state must have digests and no values: %s", state)
	}
}

func TestSecretKeysDoTheirWork(t *testing.T) {
	_, url := start(t, flysim.Options{})
	c := newApp(t, url, "keys")
	_, err := c.GenerateSecretKey(t.Context(), "keys", "box", flygo.SECRETKEY_TYPE_NACL_SECRETBOX)
	need(t, err)
	_, err = c.SetSecretKey(t.Context(), "keys", "mac", flygo.SECRETKEY_TYPE_HS256, []byte("key"))
	need(t, err)
	sealed, err := c.EncryptSecretKey(t.Context(), "keys", "box", []byte("hello"), []byte("ad"), nil)
	need(t, err)
	opened, err := c.DecryptSecretKey(t.Context(), "keys", "box", sealed.Ciphertext, []byte("ad"), nil)
	need(t, err)
	if string(opened.Plaintext) != "hello" {
		t.Errorf("opened %q", opened.Plaintext)
	}
	_, err = c.DecryptSecretKey(t.Context(), "keys", "box", sealed.Ciphertext, []byte("other"), nil)
	wantStatus(t, err, http.StatusBadRequest, "decryption failed")
	signed, err := c.SignSecretKey(t.Context(), "keys", "mac", []byte("text"), nil)
	need(t, err)
	need(t, c.VerifySecretKey(t.Context(), "keys", "mac", []byte("text"), signed.Signature, nil))
	wantStatus(t, c.VerifySecretKey(t.Context(), "keys", "mac", []byte("texx"), signed.Signature, nil), http.StatusBadRequest, "verification failed")
	list, err := c.ListSecretKeys(t.Context(), "keys", nil)
	need(t, err)
	if len(list) != 2 || list[0].Name != "box" {
		t.Errorf("keys %+v", list)
	}
	need(t, c.DeleteSecretKey(t.Context(), "keys", "box"))
	_, err = c.GetSecretKey(t.Context(), "keys", "box", nil)
	wantStatus(t, err, http.StatusNotFound, "not found")
}
