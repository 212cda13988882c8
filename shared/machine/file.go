package machine

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// files gives what [[files]] says. A guest path that comes twice keeps its place and takes the later
// content.
func (t *translator) files() []*flygo.File {
	var all []*flygo.File
	for _, f := range t.app.Files {
		file := t.file(f)
		i := slices.IndexFunc(all, func(o *flygo.File) bool { return o.GuestPath == file.GuestPath })
		if i >= 0 {
			all[i] = file
			continue
		}
		all = append(all, file)
	}
	return all
}

func (t *translator) file(f manifest.File) *flygo.File {
	out := &flygo.File{GuestPath: f.GuestPath}
	if !strings.HasPrefix(f.GuestPath, "/") {
		t.bad("files.guest_path", "is %q; it must be an absolute path in the machine", f.GuestPath)
	}
	if len(f.Processes) > 0 {
		t.warn("files.processes", "has no effect, as in flyctl: every group gets %s", f.GuestPath)
	}
	switch {
	case f.SecretName != "":
		out.SecretName = new(f.SecretName)
	case f.LocalPath != "":
		out.RawValue = t.read("files.local_path", f.LocalPath)
	case f.RawValue != "":
		out.RawValue = new(base64.StdEncoding.EncodeToString([]byte(f.RawValue)))
	default:
		t.bad("files", "%s has no content; write local_path, raw_value or secret_name", f.GuestPath)
	}
	return out
}

// read gives a named file's content in base64.
func (t *translator) read(key, path string) *string {
	content, ok := t.in.Files[path]
	if !ok {
		t.bad(key, "there is no file %q in the app's source or beside its manifest", path)
	}
	return new(base64.StdEncoding.EncodeToString(content))
}

func filesOf(app *manifest.App) []string {
	var all []string
	add := func(path string) {
		if path != "" && !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	for _, f := range app.Files {
		if f.SecretName == "" {
			add(f.LocalPath)
		}
	}
	text := machineConfig(app)
	if !inline(text) {
		add(text)
		return all
	}
	var parsed foreignConfig
	if json.Unmarshal([]byte(text), &parsed) == nil {
		for _, c := range parsed.Containers {
			for _, f := range c.Files {
				add(f.LocalPath)
			}
		}
	}
	return all
}

// foreignConfig is what machine_config has beyond fly-go's machine config: the content of a
// container's file may be in a local file.
type foreignConfig struct {
	Containers []struct {
		Files []struct {
			LocalPath string `json:"local_path"`
		} `json:"files"`
	} `json:"containers"`
}

// machineConfig is JSON or the path of a file that holds it; experimental's wins as in flyctl.
func machineConfig(app *manifest.App) string {
	if e := app.Experimental; e != nil && e.MachineConfig != "" {
		return e.MachineConfig
	}
	return app.MachineConfig
}

func inline(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "{") }

// containers starts a machine config from machine_config, and names the container that gets the
// deploy's image: the one that `container` names, else app, else the first.
func (t *translator) containers() (*flygo.MachineConfig, string) {
	config := &flygo.MachineConfig{}
	if b := t.app.Build; b != nil && b.Compose != nil {
		t.bad("build.compose", "is not understood yet; write the containers as machine_config")
		return config, ""
	}
	text := machineConfig(t.app)
	if text == "" {
		return config, ""
	}
	if !inline(text) {
		content, ok := t.in.Files[text]
		if !ok {
			t.bad("machine_config", "is neither a JSON object nor a file in the app's source or beside its manifest: %q", text)
			return config, ""
		}
		text = string(content)
	}
	if err := json.Unmarshal([]byte(text), config); err != nil {
		t.bad("machine_config", "is not a machine config in JSON: %v", err)
		return &flygo.MachineConfig{}, ""
	}
	if len(config.Containers) == 0 {
		return config, ""
	}
	t.fillContainers(config, text)
	return config, t.mainContainer(config)
}

// fillContainers puts local files in place and wants each container to have an image.
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

func (t *translator) mainContainer(config *flygo.MachineConfig) string {
	wanted := first(t.app.Container, "app")
	i := slices.IndexFunc(config.Containers, func(c *flygo.ContainerConfig) bool { return c.Name == wanted })
	if i < 0 && t.app.Container != "" {
		t.bad("container", "machine_config has no container %q", t.app.Container)
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
