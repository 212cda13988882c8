package machine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// containers starts a machine config from a compose file or from machine_config, and names the container
// that gets the deploy's image: the one that `container` names; else, of a compose file the one that is
// built, of machine_config app, else the first.
func (t *translator) containers() (*flygo.MachineConfig, string) {
	if len(composeFiles(t.app)) > 0 {
		return t.compose()
	}
	config := &flygo.MachineConfig{}
	text, ok := t.machineConfig()
	if !ok {
		return config, ""
	}
	if err := json.Unmarshal([]byte(text), config); err != nil {
		t.bad("machine_config", "is not a machine config in JSON: %v", err)
		return &flygo.MachineConfig{}, ""
	}
	t.checkMachineConfig(config, text)
	if len(config.Containers) == 0 {
		return config, ""
	}
	t.fillContainers(config, text)
	return config, t.mainContainer(config, first(t.app.Container, "app"))
}

// machineConfig gives the JSON, wherever it stands.
func (t *translator) machineConfig() (text string, ok bool) {
	text = machineConfig(t.app)
	if text == "" || inline(text) {
		return text, text != ""
	}
	content, ok := t.in.Files[text]
	switch {
	case !ok:
		t.bad("machine_config", "is neither a JSON object nor a file in the app's source or beside its manifest: %q", text)
	case content == nil:
		t.warn("machine_config", "%s is in the app's source and is read when it is deployed", text)
		return "", false
	}
	return string(content), ok
}

// checkMachineConfig names what has no effect: keys that the manifest's own sections overwrite, and
// keys that Fly's client does not know.
func (t *translator) checkMachineConfig(config *flygo.MachineConfig, text string) {
	for _, sentence := range manifest.Overwritten([]byte(text)) {
		t.ignored("machine_config", "%s", sentence)
	}
	var have, know any
	raw, err := json.Marshal(config)
	if err != nil || json.Unmarshal(raw, &know) != nil || json.Unmarshal([]byte(text), &have) != nil {
		return
	}
	for _, key := range unknown("", have, know) {
		t.ignored("machine_config", "%s is no key of a machine config, and has no effect", key)
	}
}

// unknown gives the paths that are in one value and not in what was understood of it.
func unknown(at string, have, know any) []string {
	var out []string
	switch have := have.(type) {
	case map[string]any:
		known, _ := know.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(have)) {
			path := at + "." + key
			if at == "" {
				path = key
			}
			switch value, ok := folded(known, key); {
			case ok:
				out = append(out, unknown(path, have[key], value)...)
			case key != "local_path" && !emptyValue(have[key]):
				out = append(out, path)
			}
		}
	case []any:
		known, _ := know.([]any)
		for i := 0; i < min(len(have), len(known)); i++ {
			out = append(out, unknown(fmt.Sprintf("%s[%d]", at, i), have[i], known[i])...)
		}
	}
	return out
}

// folded finds a key as encoding/json does: by its name, else whatever the case of its letters.
func folded(m map[string]any, key string) (any, bool) {
	if value, ok := m[key]; ok {
		return value, true
	}
	for name, value := range m {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return nil, false
}

// emptyValue is true of what is left out when it is written.
func emptyValue(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

// fillContainers puts local files in place.
func (t *translator) fillContainers(config *flygo.MachineConfig, text string) {
	var foreign foreignConfig
	if err := json.Unmarshal([]byte(text), &foreign); err != nil {
		t.bad("machine_config", "is not a machine config in JSON: %v", err)
		return
	}
	for i, c := range config.Containers {
		if c == nil {
			t.bad("machine_config.containers", "number %d is null", i+1)
			config.Containers[i] = &flygo.ContainerConfig{}
			continue
		}
		for k, f := range c.Files {
			if path := foreign.Containers[i].Files[k].LocalPath; path != "" && f != nil {
				f.RawValue = t.read("machine_config.containers.files.local_path", path)
			}
		}
	}
}

// mainContainer finds the container that gets the deploy's image, and wants all others to have one.
func (t *translator) mainContainer(config *flygo.MachineConfig, wanted string) string {
	i := slices.IndexFunc(config.Containers, func(c *flygo.ContainerConfig) bool { return c.Name == wanted })
	if i < 0 && t.app.Container != "" {
		t.bad("container", "there is no container %q", t.app.Container)
	}
	main := config.Containers[max(i, 0)]
	main.Image = ""
	for _, c := range config.Containers {
		if c != main && c.Image == "" {
			t.bad("machine_config.containers", "container %q has no image", c.Name)
		}
	}
	return main.Name
}
