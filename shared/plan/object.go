package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// object is a JSON object as it was sent, with every key that it had and numbers as they were
// written.
type object = map[string]any

func decode(raw []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var o object
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("read machine config: %w", err)
	}
	if o == nil {
		o = object{}
	}
	return o, nil
}

// objectOf gives any value's JSON form. It is used on fly-go's types alone, which always have one.
func objectOf(config *flygo.MachineConfig) (object, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	return decode(raw)
}

// typed reads the object as fly-go does, which forgets the keys that it does not know.
func typed(o object) (*flygo.MachineConfig, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	config := &flygo.MachineConfig{}
	if err := json.Unmarshal(raw, config); err != nil {
		return nil, fmt.Errorf("read machine config: %w", err)
	}
	return config, nil
}

// rawOf gives the machine's config as Fly sent it; a machine that was made in memory has none, and
// then fly-go's form of it serves.
func rawOf(m Machine) (object, error) {
	if len(m.Raw) > 0 {
		return decode(m.Raw)
	}
	return objectOf(m.Config)
}

// clone copies a config deeply.
func clone(config *flygo.MachineConfig) (*flygo.MachineConfig, error) {
	o, err := objectOf(config)
	if err != nil {
		return nil, err
	}
	return typed(o)
}

func child(o object, key string) object {
	c, _ := o[key].(object)
	return c
}

func list(o object, key string) []any {
	l, _ := o[key].([]any)
	return l
}

func text(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

// digestOf gives the sha256:… of an image reference, empty where it has none.
func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}
