package machine

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"
	"gopkg.in/yaml.v3"
)

// composed is a compose file: what of it can be containers of one machine, and the rest.
type composed struct {
	Services map[string]map[string]any `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

// compose starts a machine config from the services of a compose file, each a container, in the order
// of their names.
func (t *translator) compose() (*flygo.MachineConfig, string) {
	config := &flygo.MachineConfig{}
	file, ok := composeFile(t.app, t.in.Files)
	if !ok {
		t.noCompose()
		return config, ""
	}
	var parsed composed
	if err := yaml.Unmarshal(t.in.Files[file], &parsed); err != nil {
		t.bad("build.compose", "%s is not a compose file: %v", file, err)
		return config, ""
	}
	if len(parsed.Services) == 0 {
		t.bad("build.compose", "%s has no services", file)
		return config, ""
	}
	var built []string
	for _, name := range slices.Sorted(maps.Keys(parsed.Services)) {
		s := service{t: t, file: file, name: name, all: parsed}
		config.Containers = append(config.Containers, s.container(parsed.Services[name]))
		if s.built {
			built = append(built, name)
		}
	}
	switch {
	case len(built) > 1:
		t.bad("build.compose", "%s builds %s; a deploy builds one image, so give the others an image", file, strings.Join(built, " and "))
	case t.app.Container != "":
		return config, t.mainContainer(config, t.app.Container)
	case len(built) == 1:
		return config, t.mainContainer(config, built[0])
	default:
		t.warn("build.compose", "no service of %s is built, so the image of the deploy runs nowhere; write build, or name one with container", file)
	}
	return config, ""
}

func (t *translator) noCompose() {
	files := composeFiles(t.app)
	for _, file := range files {
		if _, named := t.in.Files[file]; named {
			t.warn("build.compose", "%s is in the app's source and is read when it is deployed", file)
			return
		}
	}
	t.bad("build.compose", "there is no %s in the app's source or beside its manifest", strings.Join(files, " or "))
}

// service translates one service of a compose file.
type service struct {
	t          *translator
	file, name string
	all        composed
	built      bool
}

func (s *service) bad(key, format string, args ...any) {
	s.t.bad("build.compose", "%s: services.%s.%s: %s", s.file, s.name, key, fmt.Sprintf(format, args...))
}

func (s *service) ignored(key, format string, args ...any) {
	s.t.ignored("build.compose", "%s: services.%s.%s: %s", s.file, s.name, key, fmt.Sprintf(format, args...))
}

func (s *service) container(keys map[string]any) *flygo.ContainerConfig {
	c := &flygo.ContainerConfig{Name: s.name}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value := keys[key]
		switch key {
		case "image":
			c.Image = fmt.Sprint(value)
		case "build":
			s.built = value != nil
		case "command":
			c.CmdOverride = s.words(key, value)
		case "entrypoint":
			c.EntrypointOverride = s.words(key, value)
		case "user":
			c.UserOverride = fmt.Sprint(value)
		case "environment":
			c.ExtraEnv = s.environment(value)
		case "volumes":
			c.Files = s.volumes(value)
		case "healthcheck":
			c.Healthchecks = s.healthcheck(value)
		case "depends_on":
			c.DependsOn = s.dependsOn(value)
		case "restart":
			c.Restart = s.restart(fmt.Sprint(value))
		case "stop_signal", "stop_grace_period":
			s.stop(c, key, fmt.Sprint(value))
		default:
			s.other(key, value)
		}
	}
	if c.Image == "" && !s.built && s.name != s.t.app.Container {
		s.bad("image", "is missing; write image or build")
	}
	return c
}

// other tells of keys that a container cannot have. Those that say how services reach each other and
// are reached say nothing new: the containers of a machine share its network.
func (s *service) other(key string, value any) {
	understood := []string{
		"ports", "expose", "container_name", "networks", "hostname", "links", "labels", "logging", "pull_policy", "platform",
		"tty", "stdin_open", "init",
	}
	if value == nil || strings.HasPrefix(key, "x-") || slices.Contains(understood, key) {
		return
	}
	s.ignored(key, "has no effect in a container of a machine; take it out")
}

// words reads a command: a list as it is, a text split as a shell would.
func (s *service) words(key string, value any) []string {
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		return s.t.split("build.compose", value)
	case []any:
		return texts(value)
	}
	s.bad(key, "expected text or a list")
	return nil
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}

func (s *service) environment(value any) map[string]string {
	out := map[string]string{}
	set := func(name string, value any) {
		if value == nil {
			s.ignored("environment."+name, "has no value, and there is no shell to take one from; write it, or use secrets")
			return
		}
		out[name] = fmt.Sprint(value)
	}
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for name, v := range value {
			set(name, v)
		}
	case []any:
		for _, pair := range texts(value) {
			name, v, has := strings.Cut(pair, "=")
			if !has {
				set(name, nil)
				continue
			}
			set(name, v)
		}
	default:
		s.bad("environment", "expected keys and values, or a list of NAME=value")
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// volumes gives the files that are mounted; they are written into the container, as flyctl does.
func (s *service) volumes(value any) []*flygo.File {
	var out []*flygo.File
	for _, v := range composeVolumes(value) {
		switch {
		case v.host == "":
			s.ignored("volumes", "%s is not kept: a container's files are gone with it", v.guest)
		case path.IsAbs(v.host):
			s.bad("volumes", "%s is a path of some host; mount a file beside the compose file", v.host)
		case !strings.ContainsAny(v.host, "./"):
			s.ignored("volumes", "%s cannot be mounted in a container: only files are; a volume of the machine is written as [[mounts]]", v.host)
		default:
			bind := path.Join(path.Dir(s.file), v.host)
			content, ok := s.t.in.Files[bind]
			if !ok {
				s.bad("volumes", "there is no file %s; only files can be mounted, no folders", bind)
			}
			out = append(out, &flygo.File{GuestPath: v.guest, RawValue: new(base64.StdEncoding.EncodeToString(content))})
		}
	}
	return out
}

// composeVolume is one volume of a service; host is empty for an anonymous one.
type composeVolume struct{ host, guest string }

// composeVolumes reads both of the forms that compose has.
func composeVolumes(value any) []composeVolume {
	items, _ := value.([]any)
	var out []composeVolume
	for _, item := range items {
		if long, ok := item.(map[string]any); ok {
			host, _ := long["source"].(string)
			guest, _ := long["target"].(string)
			if kind := long["type"]; kind == "bind" && host != "" && !strings.ContainsAny(host, "./") {
				host = "./" + host
			}
			out = append(out, composeVolume{host, guest})
			continue
		}
		parts := strings.Split(fmt.Sprint(item), ":")
		if last := parts[len(parts)-1]; len(parts) > 1 && (last == "ro" || last == "rw" || last == "z" || last == "Z") {
			parts = parts[:len(parts)-1]
		}
		v := composeVolume{guest: parts[0]}
		if len(parts) > 1 {
			v = composeVolume{parts[0], parts[1]}
		}
		out = append(out, v)
	}
	return out
}

// composeBinds lists the files that the compose file at the path mounts.
func composeBinds(file string, content []byte) []string {
	var parsed composed
	if yaml.Unmarshal(content, &parsed) != nil {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(parsed.Services)) {
		for _, v := range composeVolumes(parsed.Services[name]["volumes"]) {
			if strings.ContainsAny(v.host, "./") && !path.IsAbs(v.host) {
				out = append(out, path.Join(path.Dir(file), v.host))
			}
		}
	}
	return out
}
