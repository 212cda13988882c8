package machine_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

const composeText = `
name: shop
services:
  web:
    build: .
    command: serve --name "a b"
    entrypoint: [/entry]
    environment: {PORT: 8080, DEBUG: true}
    volumes:
      - ./conf/nginx.conf:/etc/nginx/nginx.conf:ro
      - {type: bind, source: conf/extra, target: /etc/extra}
    ports: ["80:8080"]
    depends_on: {cache: {condition: service_healthy}, db: }
    stop_signal: SIGQUIT
    stop_grace_period: 1m
  cache:
    image: redis:7
    user: redis
    environment: [A=1, "B=x=y"]
    restart: on-failure:3
    healthcheck: {test: [CMD, redis-cli, ping], interval: 5s, timeout: 1500ms, retries: 3, start_period: 1m}
  db:
    image: postgres
    depends_on: [cache]
    healthcheck: {test: pg_isready || exit 1}
`

func composeApp(container string) *manifest.App {
	return &manifest.App{Name: "shop", Container: container, Build: &manifest.Build{Compose: &manifest.Compose{File: "deploy/compose.yml"}}}
}

func TestComposeServicesAreContainers(t *testing.T) {
	app := composeApp("")
	files := map[string][]byte{"deploy/compose.yml": []byte(composeText)}
	if got := fmt.Sprint(machine.FilesOf(app), machine.FilesIn(app, files)); got != "[deploy/compose.yml] [deploy/conf/nginx.conf deploy/conf/extra]" {
		t.Errorf("it wants %s", got)
	}
	files["deploy/conf/nginx.conf"], files["deploy/conf/extra"] = []byte("N"), []byte("E")
	target, err := machine.Translate(app, machine.Inputs{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	want := []any{
		`{"env":{"A":"1","B":"x=y"},"healthchecks":[{"exec":{"command":["redis-cli","ping"]},"failure_threshold":3,"grace_period":60,"interval":5,"name":"cache","timeout":2}],` +
			`"image":"redis:7","name":"cache","restart":{"max_retries":3,"policy":"on-failure"},"user":"redis"}`,
		`{"depends_on":[{"condition":"started","name":"cache"}],"healthchecks":[{"exec":{"command":["/bin/sh","-c","pg_isready || exit 1"]},"name":"db"}],"image":"postgres","name":"db"}`,
		`{"cmd":["serve","--name","a b"],"depends_on":[{"condition":"healthy","name":"cache"},{"condition":"started","name":"db"}],"entrypoint":["/entry"],` +
			`"env":{"DEBUG":"true","PORT":"8080"},"files":[{"guest_path":"/etc/nginx/nginx.conf","raw_value":"` + b64("N") + `"},{"guest_path":"/etc/extra","raw_value":"` + b64("E") + `"}],` +
			`"image":"","name":"web","stop":{"signal":"SIGQUIT","timeout":"1m0s"}}`,
	}
	g := target.Groups[0]
	var got []any
	for _, c := range plain(t, g.Config)["containers"].([]any) {
		got = append(got, strings.ReplaceAll(strings.ReplaceAll(text(t, c), `\u0026`, "&"), `\u003e`, ">"))
	}
	if diff := cmp.Diff(want, got); diff != "" || g.Container != "web" || len(target.Warnings) > 0 {
		t.Errorf("main container %q, warnings %q (-want +got):\n%s", g.Container, target.Warnings, diff)
	}
}

func TestTheFirstKnownComposeFileCounts(t *testing.T) {
	app := &manifest.App{Name: "shop", Build: &manifest.Build{Compose: &manifest.Compose{}}}
	files := map[string][]byte{"docker-compose.yml": []byte("services: {a: {image: x}}"), "compose.yml": []byte("services: {b: {image: x}}")}
	target, err := machine.Translate(app, machine.Inputs{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	if c := target.Groups[0].Config.Containers; len(c) != 1 || c[0].Name != "b" {
		t.Errorf("got %+v", c)
	}
	if got := fmt.Sprint(target.Groups[0].Container, target.Warnings); !strings.Contains(got, "the image of the deploy runs nowhere") {
		t.Errorf("got %s", got)
	}
	target, err = machine.Translate(app, machine.Inputs{Files: map[string][]byte{"compose.yml": nil}})
	if err != nil || !strings.Contains(fmt.Sprint(target.Warnings), "is read when it is deployed") {
		t.Errorf("%v %v", err, target.Warnings)
	}
}

func TestComposeMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: [", "build.compose: deploy/compose.yml is not a compose file"},
		{"{}", "build.compose: deploy/compose.yml has no services"},
		{"services: {a: {}}", "services.a.image: is missing"},
		{"services: {a: {build: .}, b: {build: .}}", "builds a and b; a deploy builds one image"},
		{"services: {a: {build: ., depends_on: [b]}}", `services.a.depends_on: there is no service "b"`},
		{"services: {a: {build: ., depends_on: {a: {condition: later}}}}", "services.a.depends_on.a: expected service_started"},
		{"services: {a: {build: ., volumes: ['./x:/x']}}", "services.a.volumes: there is no file deploy/x"},
		{"services: {a: {build: ., volumes: ['/etc/x:/x']}}", "services.a.volumes: /etc/x is a path of some host"},
		{"services: {a: {build: ., volumes: ['data:/x']}}", "services.a.volumes: data cannot be mounted in a container"},
		{"services: {a: {build: ., volumes: ['/x']}}", "services.a.volumes: /x is not kept"},
		{"services: {a: {build: ., working_dir: /x}}", "services.a.working_dir: has no effect in a container of a machine"},
		{"services: {a: {build: ., environment: [A]}}", "services.a.environment.A: has no value"},
		{"services: {a: {build: ., environment: x}}", "services.a.environment: expected keys and values"},
		{"services: {a: {build: ., command: {a: b}}}", "services.a.command: expected text or a list"},
		{"services: {a: {build: ., command: \"a 'b\"}}", "cannot be split into words"},
		{"services: {a: {build: ., restart: maybe}}", "services.a.restart: expected no, always"},
		{"services: {a: {build: ., restart: 'on-failure:x'}}", "services.a.restart: expected a number after the colon"},
		{"services: {a: {build: ., stop_grace_period: soon}}", "services.a.stop_grace_period: expected a duration"},
		{"services: {a: {build: ., healthcheck: {test: [RUN, x]}}}", "services.a.healthcheck.test: expected text"},
		{"services: {a: {build: ., healthcheck: {test: x, interval: soon}}}", "services.a.healthcheck.interval: expected a duration"},
		{"services: {a: {build: ., healthcheck: {test: x, retries: 0}}}", "services.a.healthcheck.retries: expected a number above 0"},
	} {
		_, err := machine.Translate(composeApp(""), machine.Inputs{Files: map[string][]byte{"deploy/compose.yml": []byte(c.text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
	_, err := machine.Translate(composeApp("z"), machine.Inputs{Files: map[string][]byte{"deploy/compose.yml": []byte(composeText), "deploy/conf/nginx.conf": {}, "deploy/conf/extra": {}}})
	if err == nil || !strings.Contains(err.Error(), `container: there is no container "z"`) {
		t.Errorf("got %v", err)
	}
}

// TestMachineConfigFilesNameFiles reads a machine_config that is a file, whose containers take files.
func TestMachineConfigFilesNameFiles(t *testing.T) {
	app := &manifest.App{Name: "shop", MachineConfig: "m.json"}
	files := map[string][]byte{"m.json": []byte(`{"dns": {"searches": ["x"]}, "containers": [{"name": "a", "files": [{"guest_path": "/c", "local_path": "conf/c"}]}]}`)}
	if got := fmt.Sprint(machine.FilesOf(app), machine.FilesIn(app, files)); got != "[m.json] [conf/c]" {
		t.Errorf("it wants %s", got)
	}
	files["conf/c"] = []byte("C")
	target, err := machine.Translate(app, machine.Inputs{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	config := target.Groups[0].Config
	if *config.Containers[0].Files[0].RawValue != "Qw==" || config.DNS.Searches[0] != "x" {
		t.Errorf("got %+v", config)
	}
	target, err = machine.Translate(app, machine.Inputs{Files: map[string][]byte{"m.json": nil}})
	if err != nil || !strings.Contains(fmt.Sprint(target.Warnings), "m.json is in the app's source") {
		t.Errorf("%v %v", err, target.Warnings)
	}
}

func TestMachineConfigKeysWithoutEffectAreRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{"env": {"A": "1"}}`: "machine_config: env has no effect there; write [env]",
		`{"files": [{"guest_path": "/x", "local_path": "y"}]}`:   "machine_config: files has no effect there; write [[files]]",
		`{"containers": [{"name": "a", "imag": "x"}]}`:           "machine_config: containers[0].imag is no key of a machine config, and has no effect",
		`{"dns": {"search": ["x"]}}`:                             "machine_config: dns.search is no key of a machine config, and has no effect",
		`{"containers": [{"name": "a"}, {"name":"b"}]}`:          `machine_config.containers: container "b" has no image`,
		`{"guest": {"cpus": 2}, "GUEST2": {}, "init": {}} trail`: "machine_config: is not a machine config in JSON",
	} {
		app := &manifest.App{Name: "shop", MachineConfig: config}
		_, err := machine.Translate(app, machine.Inputs{})
		if err == nil || err.Error() != want && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v", config, err)
		}
		app.Lenient = true
		_, err = machine.Translate(app, machine.Inputs{})
		if lenient := strings.Contains(want, "no effect"); lenient != (err == nil) {
			t.Errorf("%s: lenient gives %v", config, err)
		}
	}
	if _, err := machine.Translate(&manifest.App{Name: "shop", MachineConfig: `{"DNS": {"Searches": []}, "guest": {"cpus": 0}, "files": []}`}, machine.Inputs{}); err != nil {
		t.Error(err)
	}
}

// FuzzCompose feeds compose files.
func FuzzCompose(f *testing.F) {
	f.Add([]byte(composeText), "web")
	f.Add([]byte("services: {a: {build: {}, command: [1], environment: [=], volumes: [{}, ':', 'a:b:c:d'], healthcheck: [], depends_on: 1, restart: ':'}}"), "")
	f.Add([]byte("services: {a: , b: {1: 2}}\nx: &x [*x]"), "b")
	f.Fuzz(func(t *testing.T, content []byte, container string) {
		app, files := composeApp(container), map[string][]byte{"deploy/compose.yml": content}
		app.Lenient = true
		for _, name := range machine.FilesIn(app, files) {
			files[name] = []byte{}
		}
		if target, err := machine.Translate(app, machine.Inputs{Files: files}); err == nil && len(target.Groups) != 1 {
			t.Fatal("a group is lost")
		}
	})
}
