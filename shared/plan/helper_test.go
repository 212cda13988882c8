package plan_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// intent reads an app.yaml and gives what a deploy of image tag 1 wants.
func intent(tb testing.TB, yaml string) plan.Intent {
	tb.Helper()
	tree, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: []byte(yaml)}}, ".", manifest.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	target, err := machine.Translate(tree.Apps[0].App, machine.Inputs{})
	if err != nil {
		tb.Fatal(err)
	}
	return intentOf(target, "1")
}

const source = "app: shop\nsource: {type: image, image: nginx}\n"

// web is an app with one group that has a service and a check.
const web = source + `
primary_region: ams
env: {GREETING: hello}
http_service:
  internal_port: 8080
  auto_stop_machines: stop
  checks: [{path: /, interval: 15s, headers: {A: "1", B: "2"}}]
`

// worker is an app with one group without services.
const worker = source + "primary_region: ams\nprocesses: {worker: work}\n"

func mustDiff(tb testing.TB, o plan.Observed, want plan.Intent) plan.Plan {
	tb.Helper()
	p, err := plan.Diff(o, want)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// deployed gives an account on which the manifest is deployed.
func deployed(tb testing.TB, yaml string) (*account, plan.Intent) {
	tb.Helper()
	a, want := &account{}, intent(tb, yaml)
	a.applyAll(mustDiff(tb, a.o, want))
	return a, want
}

// edit changes the raw config of the i-th machine.
func (a *account) edit(i int, change func(config map[string]any)) {
	m := a.o.Machines[i]
	var config map[string]any
	if err := json.Unmarshal(m.Raw, &config); err != nil {
		panic(err)
	}
	change(config)
	raw, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	copied := *m.Machine
	copied.Config = nil
	if err := json.Unmarshal([]byte(`{"config":`+string(raw)+`}`), &copied); err != nil {
		panic(err)
	}
	a.o.Machines[i] = plan.Machine{Machine: &copied, Raw: raw}
}

func at(config map[string]any, path string) map[string]any {
	for key := range strings.SplitSeq(path, ".") {
		switch v := config[key].(type) {
		case map[string]any:
			config = v
		case []any:
			config = v[0].(map[string]any)
		}
	}
	return config
}

// shape gives the plan's stages as name: lines, without images, which tests of order leave out.
func shape(p plan.Plan) string {
	var b strings.Builder
	for _, stage := range p.Stages {
		b.WriteString(stage.Name + "\n")
		for _, step := range stage.Steps {
			line, _, _ := strings.Cut(plan.Line(step), ": image")
			line, _, _ = strings.Cut(line, ": metadata")
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

func wantShape(t *testing.T, p plan.Plan, want string) {
	t.Helper()
	if got, want := strings.TrimSpace(shape(p)), strings.TrimSpace(want); got != want {
		t.Errorf("got plan\n%s\nwant\n%s", got, want)
	}
}
