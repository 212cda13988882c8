package machine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/manifest"
)

// named collects paths, each once.
type named []string

func (n *named) add(path string) {
	if path != "" && !slices.Contains(*n, path) {
		*n = append(*n, path)
	}
}

func filesOf(app *manifest.App) []string {
	var all named
	for _, f := range app.Files {
		all.add(f.LocalPath)
	}
	for _, path := range composeFiles(app) {
		all.add(path)
	}
	if text := machineConfig(app); inline(text) {
		all.addLocal(text)
	} else {
		all.add(text)
	}
	return all
}

func filesIn(app *manifest.App, files map[string][]byte) []string {
	var all named
	if path := machineConfig(app); !inline(path) {
		all.addLocal(string(files[path]))
	}
	if path, found := composeFile(app, files); found {
		for _, bind := range composeBinds(path, files[path]) {
			all.add(bind)
		}
	}
	known := filesOf(app)
	return slices.DeleteFunc(all, func(path string) bool { return slices.Contains(known, path) })
}

// addLocal adds the files that a machine_config's containers take from outside.
func (n *named) addLocal(text string) {
	var parsed foreignConfig
	if json.Unmarshal([]byte(text), &parsed) != nil {
		return
	}
	for _, c := range parsed.Containers {
		for _, f := range c.Files {
			n.add(f.LocalPath)
		}
	}
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

// composeFiles are the paths at which the compose file may lie, the first that is there counts. There
// are none where the manifest has no build.compose.
func composeFiles(app *manifest.App) []string {
	switch {
	case app.Build == nil || app.Build.Compose == nil:
		return nil
	case app.Build.Compose.File != "":
		return []string{app.Build.Compose.File}
	default:
		return []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
	}
}

// composeFile gives the one of them that is there.
func composeFile(app *manifest.App, files map[string][]byte) (string, bool) {
	for _, path := range composeFiles(app) {
		if files[path] != nil {
			return path, true
		}
	}
	return "", false
}
