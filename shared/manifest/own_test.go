package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

// TestOwnKeysAreChecked holds what FlyCD's own keys say to what can be done.
func TestOwnKeysAreChecked(t *testing.T) {
	const secret = "secrets: [{name: URL, type: env}]\n"
	for _, c := range []struct{ text, want string }{
		{"schedules: [{command: x, every: daily}]", "schedules[0].name: is missing; say what the schedule is called"},
		{"schedules: [{name: My_Job, command: x, every: daily}]", `schedules[0].name: expected a name of small letters, digits and dashes, at most 63, found "My_Job"`},
		{"schedules: [{name: j, command: x, every: daily}, {name: j, command: x, every: daily}]", `schedules[1].name: "j" is listed twice`},
		{"schedules: [{name: app, command: x, every: daily}]", `schedules[0].name: "app" is a process group too; machines are named after both, so choose another name`},
		{"schedules: [{name: j, every: daily}]", "schedules[0].command: is missing; say what runs"},
		{"schedules: [{name: j, command: \"a 'b\", every: daily}]", "schedules[0].command: cannot be split into words; a quote is not closed"},
		{"schedules: [{name: j, command: x}]", "schedules[0].every: is missing; expected hourly, daily, weekly or monthly"},
		{"schedules: [{name: j, command: x, every: day}]", `schedules[0].every: expected hourly, daily, weekly or monthly, found "day"`},
		{"schedules: [{name: j, command: x, every: daily, vm: {processes: [app]}}]", "schedules[0].vm.processes: has no effect; a schedule has a machine of its own"},
		{"certs: [{}]", "certs[0].hostname: is missing; say which host name the certificate is for"},
		{"certs: [{hostname: 'https://x.org'}]", `certs[0].hostname: expected a host name such as example.com or *.example.com, found "https://x.org"`},
		{"certs: [{hostname: 'a.*.org'}]", `certs[0].hostname: expected a host name such as example.com or *.example.com, found "a.*.org"`},
		{"certs: [{hostname: localhost}]", `certs[0].hostname: expected a host name such as example.com or *.example.com, found "localhost"`},
		{"certs: [{hostname: x.org}, {hostname: X.ORG}]", `certs[1].hostname: "x.org" is listed twice`},
		{"addons: [{}]", "addons[0].type: is missing; expected redis, tigris or postgres"},
		{"addons: [{type: redis, name: A_B}]", `addons[0].name: expected a name of small letters, digits and dashes, at most 63, found "A_B"`},
		{"addons: [{type: redis}, {type: redis, name: a-redis, secret: B}]", "addons[1]: is the second redis a-redis; give each a name of its own"},
		{"addons: [{type: redis, name: x}, {type: redis, name: y}]", "addons[1]: sets the secret REDIS_URL, which is set by something else too; keep one of them, or choose another name (secret)"},
		{secret + "addons: [{type: postgres, secret: URL}]", "addons[0].secret: sets the secret URL, which is set by something else too; keep one of them, or choose another name (secret)"},
		{"addons: [{type: tigris, secret: X}]", "addons[0].secret: does not go with tigris, whose secrets have fixed names (AWS_ACCESS_KEY_ID and others)"},
		{secret + "addons: [{type: tigris, url_secret: URL}]", "addons[0].url_secret: does not go with tigris, whose secrets have fixed names; list them under secrets"},
		{"addons: [{type: redis, url_secret: URL}]", `addons[0].url_secret: "URL" is none of secrets; list it there, with where its value comes from`},
		{secret + "addons: [{type: redis, url_secret: URL, plan: big}]", "addons[0].plan: has no effect with url_secret; nothing is created"},
		{"depends_on: [a]", "depends_on[0]: the app depends on itself"},
		{"depends_on: [b, b]", `depends_on[1]: "b" is listed twice`},
		{"depends_on: ['b c']", `depends_on[0]: expected the name of an app, found "b c"`},
		{"verify: [{url: 'ftp://x'}]", "verify[0].url: expected an address such as https://my-app.fly.dev/"},
		{"verify: [{url: '/health'}]", "verify[0].url: expected an address such as https://my-app.fly.dev/"},
		{"verify: [{url: 'https://u:p@x'}]", "verify[0].url: has a name or password in it, which everyone can read who reads this file; leave it out"},
		{"verify: [{url: 'https://x', status: 20}]", "verify[0].status: expected an HTTP status from 100 to 599, found 20"},
		{"verify: [{url: 'https://x', within: -1}]", "verify[0].within: expected more than 0 and at most 1h, found -1s"},
		{"sync: {retry: {limit: 0}}", "sync.retry.limit: expected at least 1 attempt, found 0"},
		{"sync: {retry: {backoff: -1}}", "sync.retry.backoff: expected 0 or more, found -1s"},
		{"sync: {windows: [{kind: never, schedule: '0 1 * * *', duration: 1h}]}", `sync.windows[0].kind: expected allow or deny, found "never"`},
		{"sync: {windows: [{schedule: '0 1 * * *', duration: 1h}]}", "sync.windows[0].kind: is missing; expected allow or deny"},
		{"sync: {windows: [{kind: deny, duration: 1h}]}", "sync.windows[0].schedule: is missing; say when the window begins, as cron does: 0 22 * * 1-5"},
		{"sync: {windows: [{kind: deny, schedule: '0 1 *', duration: 1h}]}", "sync.windows[0].schedule: expected five fields as cron has them (minute, hour, day, month, weekday: 0 22 * * 1-5), found 3"},
		{"sync: {windows: [{kind: deny, schedule: '0 1 * * *'}]}", "sync.windows[0].duration: is missing; say how long the window is, such as 8h"},
		{"sync: {windows: [" + strings.Repeat("{kind: deny, schedule: '@daily', duration: 1h}, ", 51) + "]}", "sync.windows: expected at most 50, found 51"},
		{"sync: {windows: [{kind: deny, schedule: '@daily', duration: 0s}]}", "sync.windows[0].duration: expected more than 0, found 0s"},
		{"sync: {windows: [{kind: deny, schedule: '@daily', duration: 1h, timezone: Mars/Olympus}]}", `sync.windows[0].timezone: expected a time zone such as Europe/Stockholm, found "Mars/Olympus"`},
		{"sync: {ignore: [machine.count]}", `sync.ignore[0]: "machine.count" is no field that can be left to others; they begin with ` + "machines, env, metadata, services, checks, metrics, files, statics, restart, init, stop_config, dns, containers, volumes, ips, secrets, certs or schedules" + `; did you mean "machines"?`},
		{"sync: {ignore: [machines.cout]}", `sync.ignore[0]: there is no "cout" below machines, only count, size, guest or app; did you mean "count"?`},
		{"sync: {ignore: [machines.app.memory]}", `sync.ignore[0]: there is no "memory" below machines.app, only count, size or guest`},
		{"sync: {ignore: [volumes.sise_gb]}", `sync.ignore[0]: there is no "sise_gb" below volumes, only size_gb, snapshot_retention, scheduled_snapshots or count; did you mean "size_gb"?`},
		{"sync: {ignore: [ips.v4]}", `sync.ignore[0]: "ips.v4" has no parts that can be left alone; write ips`},
		{"sync: {ignore: ['env.[']}", `sync.ignore[0]: "env.[" has a part that is empty or no glob (* ? [a-z])`},
		{"network: {ips: [{egress: true}]}", "network.ips[0].region: is missing; say in which region machines call out from it"},
		{"network: {ips: [{v: v4, egress: true, shared: true}]}", "network.ips[0].egress: goes only with v and region; it is an address of its own kind"},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := readText("app: a\n" + c.text)
			got := lines(err)
			if len(got) != 1 {
				t.Fatalf("got %q", got)
			}
			place, said, _ := strings.Cut(got[0], ": ")
			if diff := cmp.Diff(c.want, said); diff != "" || strings.HasPrefix(place, "app.yaml:1:") {
				t.Errorf("at %s (-want +got):\n%s", place, diff)
			}
		})
	}
}

func TestSoundOwnKeysAreAccepted(t *testing.T) {
	tree, err := readText(`
app: a
primary_region: ams
secrets: [{name: REDIS_URL, type: env, env: SHOP_REDIS_URL}, {name: PG, type: env}]
schedules: [{name: j, command: bin/j, every: weekly, vm: {memory: 512mb}, env: {A: 1}}]
certs: [{hostname: '*.Example.com'}, {hostname: example.com}]
addons: [{type: redis, url_secret: REDIS_URL}, {type: postgres, url_secret: PG}, {type: tigris}]
depends_on: [db]
verify: [{url: 'https://a.fly.dev/up', status: 204, within: 30}]
network: {ips: [{v: v6, egress: true}]}
sync:
  windows: [{kind: allow, schedule: '0 22 * * 1-5', duration: 8h, timezone: Europe/Stockholm}, {kind: deny, schedule: '@weekly', duration: 3600}]
  ignore: [machines.count, machines.a*.size, machines.app, env.*, secrets.OLD, volumes.*, certs.*.example.com, ips]
mounts: [{source: data, destination: /d}]
`)
	if err != nil || len(tree.Warnings) > 0 {
		t.Errorf("%v %v", err, tree.Warnings)
	}
}

func treeOf(apps map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range apps {
		tree[name+"/app.yaml"] = &fstest.MapFile{Data: []byte("app: " + name + "\n" + text)}
	}
	return tree
}

func TestAppsThatWaitForEachOtherAreRefused(t *testing.T) {
	got, err := manifest.Read(treeOf(map[string]string{
		"a": "depends_on: [b]", "b": "depends_on: [c, d]", "c": "depends_on: [a]", "d": "", "e": "depends_on: [a]",
	}), ".", manifest.Options{})
	const rest = "; let one of them not depend on the next"
	want := []string{
		"a/app.yaml:2:13: depends_on: the apps wait for each other: a → b → c → a" + rest,
		"b/app.yaml:2:13: depends_on: the apps wait for each other: b → c → a → b" + rest,
		"c/app.yaml:2:13: depends_on: the apps wait for each other: c → a → b → c" + rest,
	}
	if diff := cmp.Diff(want, lines(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Apps) != 2 || got.Apps[0].App.Name != "d" || got.Apps[1].App.Name != "e" {
		t.Errorf("sound apps %v", got.Apps)
	}
}

func TestAppsOutsideTheTreeAreNoted(t *testing.T) {
	got, err := manifest.Read(treeOf(map[string]string{"a": "depends_on: [b, elsewhere]", "b": ""}), ".", manifest.Options{})
	if err != nil || len(got.Warnings) != 1 {
		t.Fatalf("%v %v", err, got.Warnings)
	}
	if want := "a/app.yaml:2:13: depends_on: elsewhere is not in this tree, so its deploy is not part of the order; it has to be there already"; got.Warnings[0].String() != want {
		t.Errorf("got %s", got.Warnings[0])
	}
}

// TestWhatFlyctlIgnoresInSilenceIsRefused names the place of each, and lets it pass where people are lenient.
func TestWhatFlyctlIgnoresInSilenceIsRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"vm: [{size: shared-cpu-1x}, {memory: 512}]", "2:29: vm[1]: is a second section for all groups (vm[0] is the first), and flyctl takes one of them in silence; name the groups of each with processes"},
		{"metrics: [{port: 1}, {port: 2, processes: [app]}]", "2:22: metrics[1]: is a second section for group app (metrics[0] is the first), and flyctl takes one of them in silence; name the groups of each with processes"},
		{"restart: [{policy: never}, {policy: always}]", "2:28: restart[1]: is a second section for group app (restart[0] is the first), and flyctl takes one of them in silence; name the groups of each with processes"},
		{"metrics: {processes: [app]}", "2:10: metrics[0]: says nothing of what is scraped; write port and path"},
		{"vm: {memory: 1gb, memory_mb: 512}", "2:14: vm[0].memory: says something else than memory_mb, which wins; write one of them"},
		{"files: [{guest_path: /a, raw_value: x, secret_name: Y}]", "2:9: files[0]: has raw_value and secret_name, of which only one is taken; write one of them"},
		{"statics: [{guest_path: /a, url_prefix: /s}, {guest_path: /b, url_prefix: /s}]", "2:74: statics[1].url_prefix: is that of statics[0] too, and only one of them is served; give each a path of its own"},
		{"services: [{internal_port: 1, ports: [{port: 1}], force_https: true}]", "2:51: services[0].force_https: it has no effect on a service; write it on the port"},
		{"services: [{internal_port: 1, ports: [{port: 1}], script_checks: [{command: x}]}]", "2:51: services[0].script_checks: Fly no longer knows it, and it has no effect; delete it"},
		{"machine_config: '{\"env\": {\"A\": \"1\"}, \"guest\": {}}'", "2:17: machine_config: env has no effect there; write [env]"},
		{"machine_config: '{}'\nexperimental: {machine_config: '{\"dns\": {}}'}", "2:17: machine_config: has no effect beside experimental.machine_config, which wins; write one of them"},
		{"machine_config: '{}'\nbuild: {compose: {file: c.yml}}", "2:17: machine_config: has no effect beside build.compose, which wins; write one of them"},
		{"http_servce: {}", `2:1: http_servce: unknown key; did you mean "http_service"?`},
	} {
		t.Run(c.text, func(t *testing.T) {
			text := "app: a\n" + c.text
			_, err := readText(text)
			if diff := cmp.Diff([]string{"app.yaml:" + c.want}, lines(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			tree, err := manifest.Read(fstest.MapFS{"app.yaml": {Data: []byte(text)}}, ".", manifest.Options{Lenient: true})
			if err != nil || len(tree.Warnings) != 1 {
				t.Errorf("lenient: %v %v", err, tree.Warnings)
			}
		})
	}
}

// TestDeadKeysThatAskForNothingPass is for what old versions of flyctl wrote into every file.
func TestDeadKeysThatAskForNothingPass(t *testing.T) {
	tree, err := readText(`app: a
experimental: {allowed_public_ports: [], private_network: true, auto_rollback: true}
services: [{internal_port: 1, ports: [{port: 1}], script_checks: [], http_checks: [], tcp_checks: [{restart_limit: 0}]}]
`)
	if err != nil || len(tree.Warnings) != 4 {
		t.Errorf("%v %v", err, tree.Warnings)
	}
}
