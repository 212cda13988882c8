package machine

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/manifest"
)

// Definition gives the app's configuration as flyctl writes it into a release: Fly's keys of the
// manifest in their current spelling, whatever spelling the manifest has, with what flags lay over them.
// `fly config show`, `fly config save`, `fly console` and `fly scale count` read it. FlyCD's own keys
// for sizes are written as Fly's, so that those commands know them. It holds no secrets.
func Definition(app *manifest.App, target Target) (json.RawMessage, error) {
	t := &translator{app: app}
	t.flags = t.readFlags()
	d := t.definition(target)
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write definition of %s: %w", target.App, err)
	}
	return raw, nil
}

func (t *translator) definition(target Target) map[string]any {
	d := writtenStruct(reflect.ValueOf(*t.app))
	for key := range d {
		if !manifest.IsFly(key) {
			delete(d, key)
		}
	}
	if b, ok := d["build"].(map[string]any); ok {
		maps.DeleteFunc(b, func(key string, _ any) bool { return !manifest.IsFlyBuild(key) })
	}
	d["app"] = target.App
	if target.PrimaryRegion != "" {
		d["primary_region"] = target.PrimaryRegion
	}
	if env := merged(t.app.Env, t.flags.env); len(env) > 0 {
		d["env"] = env
	}
	for _, section := range []string{"experimental", "build"} {
		if m, ok := d[section].(map[string]any); ok && len(m) == 0 {
			delete(d, section)
		}
	}
	if e, ok := d["experimental"].(map[string]any); ok {
		d["experimental"] = experimental(e)
	}
	for _, s := range list(d, "statics") {
		if _, ok := s["tigris_bucket"]; !ok {
			s["tigris_bucket"] = ""
		}
	}
	t.ownSizes(d, target)
	return d
}

// ownSizes writes FlyCD's keys for the sizes of machines and volumes as Fly's.
func (t *translator) ownSizes(d map[string]any, target Target) {
	vms := list(d, "vm")
	for _, g := range target.Groups {
		if !t.ownSized(g.Name) || g.Config.Guest == nil {
			continue
		}
		for _, vm := range vms {
			dropProcess(vm, g.Name)
		}
		vms = slices.DeleteFunc(vms, func(vm map[string]any) bool { p, ok := vm["processes"]; return ok && reflect.ValueOf(p).Len() == 0 })
		guest := writtenStruct(reflect.ValueOf(*g.Config.Guest))
		guest["processes"] = []string{g.Name}
		vms = append(vms, guest)
	}
	if len(vms) > 0 {
		d["vm"] = vms
	}
	for _, m := range list(d, "mounts") {
		for _, v := range t.app.Volumes {
			if v.Name == m["source"] && v.SizeGB > 0 {
				m["initial_size"] = fmt.Sprint(v.SizeGB)
			}
		}
	}
}

// ownSized reports whether FlyCD's keys say anything of the group's size.
func (t *translator) ownSized(group string) bool {
	own := func(g manifest.Guest) bool {
		return g.Size != "" || g.RAMMB != nil || g.CPUCores != nil || g.CPUType != ""
	}
	return t.app.VMSize != "" || own(t.app.Machines.Guest) || own(t.app.Machines.Groups[group])
}

func dropProcess(vm map[string]any, group string) {
	if names, ok := vm["processes"].([]any); ok {
		vm["processes"] = slices.DeleteFunc(names, func(n any) bool { return n == group })
	}
}

// experimental is the section less the keys that Fly moved out of it.
func experimental(e map[string]any) map[string]any {
	for _, moved := range []string{"kill_timeout", "metrics_port", "metrics_path"} {
		delete(e, moved)
	}
	attached, _ := e["attached"].(map[string]any)
	if attached == nil {
		attached = map[string]any{}
	}
	if attached["secrets"] == nil {
		attached["secrets"] = map[string]any{}
	}
	e["attached"] = attached
	return e
}

func list(d map[string]any, key string) []map[string]any {
	items, _ := d[key].([]any)
	var out []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// written gives a value as JSON has it, under the names of the manifest, without what is not written:
// nil for a zero. A pointer is written whatever it points to.
func written(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case manifest.Duration:
		return value.String()
	case manifest.Autostop:
		return map[manifest.Autostop]any{"off": false, "stop": true, "suspend": "suspend"}[value]
	}
	switch v.Kind() { //nolint:exhaustive // the model has no other kinds
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return written(v.Elem())
	case reflect.Struct:
		return writtenStruct(v)
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		out := map[string]any{}
		for at := v.MapRange(); at.Next(); {
			out[at.Key().String()] = written(at.Value())
		}
		return out
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = written(v.Index(i))
		}
		return out
	default:
		return v.Interface()
	}
}

func writtenStruct(v reflect.Value) map[string]any {
	out := map[string]any{}
	t := v.Type()
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		if tag == "" {
			tag = t.Field(i).Tag.Get("json")
		}
		key, _, _ := strings.Cut(tag, ",")
		field := v.Field(i)
		if key == "" || key == "-" || field.IsZero() && !always(t, key) {
			continue
		}
		value := written(field)
		if value == nil || key == "allow_bypass" && value == false {
			continue
		}
		out[key] = value
	}
	return out
}

// always is true of the keys that flyctl writes even where they are empty.
func always(t reflect.Type, key string) bool {
	return t == reflect.TypeFor[manifest.ReplayCache]() && key != "allow_bypass"
}
