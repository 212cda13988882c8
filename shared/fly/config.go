package fly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/plan"
)

// decode reads JSON with its numbers as they are written; nothing is nil.
func decode(raw []byte) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read machine config: %w", err)
	}
	return v, nil
}

func tree(config *flygo.MachineConfig) (map[string]any, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	v, err := decode(raw)
	m, _ := v.(map[string]any)
	return m, err
}

// overlay lays the wanted config over what Fly sent: a key that fly-go knows is as wanted, or absent
// where it is not wanted; a key that it does not know is kept.
func overlay(have json.RawMessage, want *flygo.MachineConfig) (json.RawMessage, error) {
	top, err := tree(want)
	if err != nil {
		return nil, err
	}
	v, err := decode(have)
	if err != nil {
		return nil, err
	}
	old, _ := v.(map[string]any)
	out := lay(old, top, reflect.TypeFor[flygo.MachineConfig]())
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	return raw, nil
}

// lay merges two objects that t describes. Only objects that t knows by their fields are merged;
// maps (env, metadata, checks) and lists are as wanted.
func lay(old, top map[string]any, t reflect.Type) map[string]any {
	out := map[string]any{}
	known := fieldsOf(t)
	for k, v := range old {
		if _, ok := known[k]; !ok {
			out[k] = v
		}
	}
	for k, v := range top {
		out[k] = v
		sub, isObject := v.(map[string]any)
		if ft, ok := known[k]; ok && isObject && ft.Kind() == reflect.Struct {
			was, _ := old[k].(map[string]any)
			out[k] = lay(was, sub, ft)
		}
	}
	return out
}

// fieldsOf gives the JSON names of a struct's fields with their types, pointers followed.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			maps.Copy(out, fieldsOf(ft))
			continue
		}
		if name != "" && name != "-" {
			out[name] = ft
		}
	}
	return out
}

// sameJSON reports whether two configs say the same: absent, null and empty are one.
func sameJSON(a, b json.RawMessage) bool {
	x, err := decode(a)
	if err != nil {
		return false
	}
	y, err := decode(b)
	return err == nil && reflect.DeepEqual(pruned(x), pruned(y))
}

// pruned drops what is as good as absent; nil stands for it.
func pruned(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			v[i] = pruned(v[i])
		}
	case map[string]any:
		for k := range v {
			if v[k] = pruned(v[k]); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// holds reports whether a machine has the wanted config and image, whatever state it is in.
func holds(m plan.Machine, want *flygo.MachineConfig) bool {
	_, digest, pinned := strings.Cut(want.Image, "@")
	if m.Machine == nil || m.Config == nil || (!pinned && m.Config.Image != want.Image) {
		return false
	}
	resting := *m.Machine
	resting.State, resting.Events, resting.Checks = flygo.MachineStateStopped, nil, nil
	return plan.ProofMachine{Digest: digest, Config: want, Stopped: true}.Met(plan.Machine{Machine: &resting, Raw: m.Raw}) == nil
}
