package manifest_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gigurra/flycd/shared/manifest"
)

var update = flag.Bool("update", false, "write the schema anew")

func compiled(t *testing.T, make func() ([]byte, error)) *jsonschema.Schema {
	t.Helper()
	text, err := make()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPublishedSchemaIsTheModels(t *testing.T) {
	want, err := manifest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("app.schema.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("app.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("app.schema.json is not what Schema gives: run go test ./shared/manifest -run Schema -update")
	}
}

func TestSchemaAcceptsWhatReadAccepts(t *testing.T) {
	s := compiled(t, manifest.Schema)
	for name, data := range flyTOMLs(t) {
		if err := s.Validate(throughJSON(t, entry(t, name, data).JSON())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range spellings() {
		if err := s.Validate(throughJSON(t, entry(t, "app.yaml", []byte("app: a\n"+c.text)).JSON())); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

func TestSchemaRefusesWhatReadRefuses(t *testing.T) {
	s := compiled(t, manifest.Schema)
	for _, text := range []string{
		"org: x", "app: {a: b}", "app: a\ncolour: red", "app: a\nhttp_service: {internal_port: \"8080\"}",
		"app: a\nhttp_service: {internal_port: 70000}", "app: a\ndeploy: {strategy: slow}", "app: a\nenv: [1]",
		"app: a\nsource: {type: svn}", "app: a\nmachines: {coutn: 2}", "app: a\nkill_timeout: soon",
		"app: a\nservices: [{ports: [{port: http}]}]",
	} {
		value := yamlValue(t, text)
		if err := s.Validate(value); err == nil {
			t.Errorf("the schema accepts %s", text)
		}
		if _, err := readText(text); err == nil {
			t.Errorf("Read accepts %s", text)
		}
	}
}

func TestProjectSchemaKnowsProjects(t *testing.T) {
	s := compiled(t, manifest.ProjectSchema)
	good := "project: p\nsource: {type: local, path: apps}\ncommon: {app_defaults: {org: o}, substitutions: {a: 1}, vars: {A: b}}\ndiscover: [fly.toml]\nsync: {auto: true}"
	if err := s.Validate(yamlValue(t, good)); err != nil {
		t.Error(err)
	}
	if err := s.Validate(yamlValue(t, "project: p\nsorce: {type: local}")); err == nil {
		t.Error("an unknown key is accepted")
	}
}
