package manifest_test

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/manifest"
)

// yamlPaths lists every key of the model by its tags, which is not how Keys finds them.
func yamlPaths(prefix string, t reflect.Type) []string {
	var out []string
	for f := range fields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner, mark := f.Type, ""
		switch {
		case f.Tag.Get("in") == "inline":
			out = append(out, yamlPaths(prefix, inner)...)
			continue
		case f.Tag.Get("in") == "rest":
			out = append(out, yamlPaths(prefix+"<group>.", inner.Elem())...)
			continue
		case key == "-" || key == "":
			continue
		}
		if inner.Kind() == reflect.Slice {
			inner, mark = inner.Elem(), "[]"
		} else if inner.Kind() == reflect.Map {
			inner, mark = inner.Elem(), ".<name>"
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || inner == reflect.TypeFor[manifest.Secret]() {
			out = append(out, prefix+key)
			continue
		}
		out = append(out, prefix+key+mark)
		out = append(out, yamlPaths(prefix+key+mark+".", inner)...)
	}
	return out
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// TestPublishedReferenceIsTheModels holds the page that is read to the model that is used.
func TestPublishedReferenceIsTheModels(t *testing.T) {
	want := manifest.KeysMarkdown()
	if *update {
		if err := os.WriteFile("KEYS.md", want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("KEYS.md"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("KEYS.md is not what KeysMarkdown gives (%v): run go test ./shared/manifest -run Published -update", err)
	}
}

func TestTheReferenceHasEveryKeyOfTheModel(t *testing.T) {
	rows := map[string]manifest.Key{}
	for _, k := range manifest.Keys() {
		if _, twice := rows[k.Path]; twice {
			t.Errorf("%s is listed twice", k.Path)
		}
		rows[k.Path] = k
		if k.Doc == "" || k.Value == "" || k.Like == "" {
			t.Errorf("%s is not explained: %+v", k.Path, k)
		}
		if k.Like == manifest.NotHere && k.How == "" {
			t.Errorf("%s is not possible, and nothing says why", k.Path)
		}
		if k.Like == manifest.Better && k.How == "" {
			t.Errorf("%s is better, and nothing says how", k.Path)
		}
		if k.Fly == (k.Like == manifest.OwnKey) {
			t.Errorf("%s is Fly's %v and %s", k.Path, k.Fly, k.Like)
		}
	}
	paths := yamlPaths("", reflect.TypeFor[manifest.App]())
	for _, path := range paths {
		if _, ok := rows[path]; !ok {
			t.Errorf("%s is in the model and not in the reference", path)
		}
	}
	if len(paths) != len(rows) || len(rows) < 250 {
		t.Errorf("the model has %d keys, the reference %d", len(paths), len(rows))
	}
	for path := range manifest.Remarks() {
		if _, ok := rows[path]; !ok {
			t.Errorf("there is a remark on %s, which is no key", path)
		}
	}
}

func TestTheReferenceHasEveryKeyOfAProject(t *testing.T) {
	rows := map[string]manifest.Key{}
	for _, k := range manifest.ProjectKeys() {
		if rows[k.Path] = k; k.Doc == "" || k.Value == "" || k.Like != manifest.OwnKey || k.Fly {
			t.Errorf("%s is not explained: %+v", k.Path, k)
		}
	}
	for _, path := range []string{"project", "source", "source.repo", "source.ref.branch", "common.vars", "common.app_defaults", "sync", "allow", "allow.vm_sizes", "allow.max_machines", "notify[].on"} {
		if _, ok := rows[path]; !ok {
			t.Errorf("%s is not in the reference", path)
		}
	}
}
