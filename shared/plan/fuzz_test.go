package plan_test

import (
	"encoding/json"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// FuzzObservedConfig feeds whatever Fly might send as a machine's config. Diff must neither panic nor
// be dissatisfied with its own work.
func FuzzObservedConfig(f *testing.F) {
	a, _ := deployed(f, web)
	f.Add([]byte(a.o.Machines[0].Raw))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"metadata":{"fly_process_group":"app","fly_platform_version":"v2"},"mounts":[{}],"services":[{"checks":[null]}]}`))
	f.Add([]byte(`{"metadata":{"fly_process_group":"app"},"init":{"cmd":null,"x":[1e999]},"checks":{"a":null},"standbys":["x"],"env":null}`))
	f.Add([]byte(`{"metadata":{"fly_process_group":"app"},"containers":[{"image":"a@b"}],"guest":{"gpu_kind":"x"},"restart":{"max_retries":10}}`))
	want := intent(f, web)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := &flygo.Machine{ID: "m1", Name: "x", State: "started", Region: "ams", HostStatus: "ok"}
		if json.Unmarshal(raw, &m.Config) != nil || m.Config == nil {
			return // fly-go cannot read it, so it is never observed
		}
		o := plan.Observed{Exists: true, App: "shop", Machines: []plan.Machine{{Machine: m, Raw: raw}}}
		p, err := plan.Diff(o, want)
		if err != nil {
			return
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
		for i, step := range stepsOf(p) {
			u, ok := step.(plan.UpdateMachine)
			if !ok {
				continue
			}
			sent := *m
			sent.Config = nil
			if err := json.Unmarshal(u.Raw, &sent.Config); err != nil {
				t.Fatalf("step %d sends what fly-go cannot read: %v", i, err)
			}
			sent.ImageRef.Digest = digest("1")
			after := plan.Observed{Exists: true, App: "shop", Machines: []plan.Machine{{Machine: &sent, Raw: u.Raw}}}
			if again := mustDiff(t, after, want); len(stepsOf(again)) > 0 {
				t.Fatalf("sent %s, and still to do: %v", u.Raw, again.Summary())
			}
		}
	})
}
