package fly

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

func secretsOf(values map[string]string) map[string]manifest.Secret {
	out := map[string]manifest.Secret{}
	for name, v := range values {
		out[name] = manifest.NewSecret(v)
	}
	return out
}

// sets counts the requests since the last call of written that set the value.
func (w *world) sets(value string) int {
	w.road.mu.Lock()
	defer w.road.mu.Unlock()
	n := 0
	for _, b := range w.road.bodies {
		if strings.Contains(b, value) {
			n++
		}
	}
	return n
}

// state is the simulator's view of a machine.
func (w *world) state(t *testing.T, name string) flysim.MachineState {
	t.Helper()
	for _, m := range w.app(t).Machines {
		if m.Name == name && m.State != "destroyed" {
			return m
		}
	}
	t.Fatalf("there is no machine %s", name)
	return flysim.MachineState{}
}

func (w *world) secretsVersion(t *testing.T) uint64 {
	t.Helper()
	return w.app(t).SecretsVersion
}

func (w *world) app(t *testing.T) flysim.AppState {
	t.Helper()
	for _, a := range w.sim.State().Apps {
		if a.Name == testApp {
			return a
		}
	}
	t.Fatal("there is no app")
	return flysim.AppState{}
}

func TestSecretsAreSetInOneCallAndLaterMachinesHaveThem(t *testing.T) {
	w := deployed(t, flysim.Options{})
	old := begin(t, w.client(t))
	old.Provide(secretsOf(map[string]string{"OLD": "old-value"}))
	apply(t, old, plan.SetSecrets{App: testApp, Set: []string{"OLD"}})
	_ = old.Close()
	w.road.written()

	ch := begin(t, w.client(t), plan.Scope{Secrets: true})
	if got := ch.Observed().Secrets; len(got) != 1 || got[0].Name != "OLD" || got[0].Digest == "" {
		t.Fatalf("observed secrets: %+v", got)
	}
	ch.Provide(secretsOf(map[string]string{"A": "first-value", "B": "second-value"}))
	set := plan.SetSecrets{App: testApp, Set: []string{"A", "B"}, Unset: []string{"OLD"}}
	apply(t, ch, set, set)
	if got := w.road.written(); len(got) != 1 {
		t.Errorf("writes: %v, want one", got)
	}
	o, err := ch.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if names := []string{o.Secrets[0].Name, o.Secrets[1].Name}; len(o.Secrets) != 2 || !slices.Equal(names, []string{"A", "B"}) {
		t.Errorf("secrets after the call: %+v", o.Secrets)
	}
	if got := w.state(t, "shop-app-ams-0").SecretsVersion; got == w.secretsVersion(t) {
		t.Fatal("the machine has the new secrets before it is updated")
	}
	apply(t, ch, update(o.Machines[0], imageTwo), create("shop-app-ams-1", imageTwo))
	for _, name := range []string{"shop-app-ams-0", "shop-app-ams-1"} {
		if got, want := w.state(t, name).SecretsVersion, w.secretsVersion(t); got != want {
			t.Errorf("%s has secrets version %d, want %d", name, got, want)
		}
	}
	ch.Provide(secretsOf(map[string]string{"A": "another-value"}))
	apply(t, ch, set)
	if n := w.sets("another-value"); n != 1 {
		t.Errorf("a new value was sent %d times", n)
	}
}

func TestSecretsVersionThatIsNotThereYetIsWaitedFor(t *testing.T) {
	w := deployed(t, flysim.Options{Lag: flysim.Lag{Secrets: 200 * time.Millisecond}})
	ch := begin(t, w.client(t))
	ch.Provide(secretsOf(map[string]string{"A": "first-value"}))
	apply(t, ch, plan.SetSecrets{App: testApp, Set: []string{"A"}}, update(ch.Observed().Machines[0], imageTwo))
	if got, want := w.state(t, "shop-app-ams-0").SecretsVersion, w.secretsVersion(t); got != want {
		t.Errorf("the machine has secrets version %d, want %d", got, want)
	}
}

func TestLostAnswerSetsNoSecretTwiceAndItsVersionIsLearned(t *testing.T) {
	for _, status := range []int{0, 408, 500, 502, 503} {
		w := deployed(t, flysim.Options{})
		ch := begin(t, w.client(t))
		ch.Provide(secretsOf(map[string]string{"A": "first-value"}))
		w.road.breaks(&fault{method: http.MethodPost, path: `/secrets$`, says: "first-value", status: status, after: true})
		apply(t, ch, plan.SetSecrets{App: testApp, Set: []string{"A"}})
		if n := w.sets("first-value"); n != 1 {
			t.Errorf("after %d the value was sent %d times", status, n)
		}
		w.road.breaks()
		apply(t, ch, update(ch.Observed().Machines[0], imageTwo))
		if got, want := w.state(t, "shop-app-ams-0").SecretsVersion, w.secretsVersion(t); got != want || want == 0 {
			t.Errorf("after %d the machine has secrets version %d, want %d", status, got, want)
		}
	}
}

func TestSecretWithoutAValueIsNotSet(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	err := ch.Apply(t.Context(), plan.SetSecrets{App: testApp, Set: []string{"A"}})
	if err == nil || !strings.Contains(err.Error(), "no value was given for A") {
		t.Errorf("set without a value: %v", err)
	}
	if got := w.road.written(); len(got) != 0 {
		t.Errorf("wrote %v", got)
	}
}

func TestNoErrorTellsASecret(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t))
	ch.Provide(secretsOf(map[string]string{"A": "open-sesame", "PEM": "-----BEGIN KEY-----\nMIIEvwIBADANB\n-----END KEY-----"}))
	w.road.breaks(&fault{
		method: http.MethodPost, path: `/secrets$`, status: 422,
		body: `{"error":"invalid_argument: open-sesame and MIIEvwIBADANB are too short"}`,
	})
	err := ch.Apply(t.Context(), plan.SetSecrets{App: testApp, Set: []string{"A", "PEM"}})
	if err == nil || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "MIIE") || !strings.Contains(err.Error(), "too short") {
		t.Errorf("error: %v", err)
	}
}

func TestMachineThatSaysItHasOtherSecretsHasThemWhoeverSetThem(t *testing.T) {
	w := deployed(t, flysim.Options{})
	dead := begin(t, w.client(t))
	dead.Provide(secretsOf(map[string]string{"A": "first-value"}))
	apply(t, dead, plan.SetSecrets{App: testApp, Set: []string{"A"}})
	_ = dead.Close()
	ch := begin(t, w.client(t))
	same := update(ch.Observed().Machines[0], imageTwo)
	apply(t, ch, same)
	if v := w.state(t, "shop-app-ams-0").SecretsVersion; v != 0 {
		t.Errorf("a machine that is to say nothing new of secrets got version %d", v)
	}
	other := update(ch.Observed().Machines[0], imageOne)
	other.Config.Metadata[plan.MetaSecrets] = "A=-.0123"
	apply(t, ch, other)
	if got, want := w.state(t, "shop-app-ams-0").SecretsVersion, w.secretsVersion(t); got != want {
		t.Errorf("the machine has secrets version %d, want %d", got, want)
	}
}
