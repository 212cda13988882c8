package machine_test

// serviceRows are the keys of services and of checks.
func serviceRows() []row {
	const http, tcp = "config.services.0.", "config.services.0."
	all := []row{
		{key: "http_service.internal_port", write: "80", lands: http + "internal_port", bad: "70000 ⇒ http_service.internal_port: expected a number from 0 to 65535 ¦ '8080' ⇒ http_service.internal_port: expected a whole number, found \"8080\"; write it without quotes ¦ 0 ⇒ http_service.internal_port: is missing"},
		{key: "http_service.force_https", write: "true|yes|on", lands: http + "ports.0.force_https", want: "true"},
		{key: "http_service.concurrency", write: `"20,25"|{type: requests, soft_limit: 20, hard_limit: 25}`, lands: http + "concurrency", want: `{"hard_limit":25,"soft_limit":20,"type":"requests"}`, bad: `"20" ⇒ http_service.concurrency: expected type, soft_limit and hard_limit, or both limits as text`},
		{key: "http_service.processes", write: "[web]", lands: "groups.web.services.0.internal_port", want: "8080", with: twoGroups, bad: `[wbe] ⇒ http_service.processes[0]: there is no process group "wbe" ¦ [] ⇒ http_service.processes: is missing; say which of job or web the service belongs to`},
		{key: "services[].protocol", write: "udp", lands: tcp + "protocol", bad: "sctp ⇒ services[0].protocol: expected tcp or udp"},
		{key: "services[].internal_port", write: "8080|'8080'", lands: tcp + "internal_port", want: "8080", bad: "0 ⇒ services[0].internal_port: is missing ¦ http ⇒ services[0].internal_port: expected a whole number"},
		{key: "services[].concurrency", write: `"20,25"|{type: requests, soft_limit: 20, hard_limit: 25}`, lands: tcp + "concurrency", want: `{"hard_limit":25,"soft_limit":20,"type":"requests"}`, bad: `"a,b" ⇒ services[0].concurrency: expected type, soft_limit and hard_limit`},
		{key: "services[].processes", write: "[web]", lands: "groups.web.services.0.internal_port", want: "9000", with: twoGroups, bad: `[wbe] ⇒ services[0].processes[0]: there is no process group "wbe" ¦ [] ⇒ services[0].processes: is missing`},
		{key: "services[].ports[].port", write: "80|'80'", lands: tcp + "ports.0.port", want: "80", bad: "0 ⇒ services[0].ports[0].port: expected a number from 1 to 65535"},
		{key: "services[].ports[].start_port", write: "10|'10'", lands: tcp + "ports.0.start_port", want: "10", with: rangeOfPorts, bad: "30 ⇒ services[0].ports[0].end_port: expected at least start_port, which is 30"},
		{key: "services[].ports[].end_port", write: "20|'20'", lands: tcp + "ports.0.end_port", want: "20", with: "services: [{internal_port: 1, ports: [{start_port: 10}]}]\n", bad: "5 ⇒ services[0].ports[0].end_port: expected at least start_port"},
		{key: "services[].ports[].handlers", write: "[proxy_proto, tls]", lands: tcp + "ports.0.handlers", want: `["proxy_proto","tls"]`},
		{key: "services[].ports[].force_https", write: "true", lands: tcp + "ports.0.force_https"},
		{key: "services[].ports[].proxy_proto_options.version", write: "v2", lands: tcp + "ports.0.proxy_proto_options.version", bad: "v3 ⇒ services[0].ports[0].proxy_proto_options.version: expected v1 or v2"},
		{key: "checks.<name>.type", write: "tcp", lands: "config.checks.x.type", bad: "icmp ⇒ checks.x.type: expected http or tcp"},
		{key: "checks.<name>.port", write: "99", lands: "config.checks.x.port", bad: "null ⇒ checks.x.port: is missing, and there is no http_service to take it from ¦ 0 ⇒ checks.x.port: expected a number from 1 to 65535"},
		{key: "checks.<name>.port", write: "null", lands: "config.checks.x.port", want: "7", with: "http_service: {internal_port: 7}\n"},
		{key: "checks.<name>.processes", write: "[web]", lands: "groups.web.checks.x.port", want: "1", with: twoGroups, bad: `[wbe] ⇒ checks.x.processes[0]: there is no process group "wbe"`},
		{key: "checks.<name>.method", write: "get", lands: "config.checks.x.method", want: "GET"},
		{key: "checks.<name>.interval", write: "2500|2500ms|2.5s", lands: "config.checks.x.interval", want: "2.5s", bad: "1s ⇒ checks.x.interval: expected at least 2s"},
		{key: "checks.<name>.timeout", write: "2000|2s", lands: "config.checks.x.timeout", want: "2s", bad: "61s ⇒ checks.x.timeout: expected at most 1m0s"},
		{key: "checks.<name>.grace_period", write: "2000|2s", lands: "config.checks.x.grace_period", want: "2s"},
	}
	for _, section := range []string{"http_service", "services[]"} {
		all = append(all, proxyRows(section, http)...)
		all = append(all, machineCheckRows(section+".machine_checks[]")...)
	}
	all = append(all, machineCheckRows("machine_checks[]")...)
	all = append(all, portRows("http_service", http+"ports.1.")...)
	all = append(all, portRows("services[].ports[]", tcp+"ports.0.")...)
	all = append(all, checkRows("http_service.checks[]", http+"checks.0.", "get")...)
	all = append(all, checkRows("services[].http_checks[]", tcp+"checks.0.", "get")...)
	all = append(all, httpRows("checks.<name>", "config.checks.x.")...)
	return append(all, timeRows("services[].tcp_checks[]", tcp+"checks.0.")...)
}

const rangeOfPorts = "services: [{internal_port: 1, ports: [{end_port: 20}]}]\n"

// proxyRows are what http_service and services have in common.
func proxyRows(section, lands string) []row {
	return []row{
		{key: section + ".auto_stop_machines", write: "stop|true|on", lands: lands + "autostop", want: "true", bad: "nap ⇒ auto_stop_machines: expected off, stop or suspend"},
		{key: section + ".auto_stop_machines", write: "'off'|false|off", lands: lands + "autostop", want: "false"},
		{key: section + ".auto_stop_machines", write: "suspend", lands: lands + "autostop"},
		{key: section + ".auto_start_machines", write: "false|no", lands: lands + "autostart", want: "false"},
		{key: section + ".min_machines_running", write: "0", lands: lands + "min_machines_running", bad: "-1 ⇒ min_machines_running: expected at least 0"},
		{key: section + ".concurrency.type", write: "connections", lands: lands + "concurrency.type", bad: "donuts ⇒ concurrency.type: expected connections or requests"},
		{key: section + ".concurrency.hard_limit", write: "25", lands: lands + "concurrency.hard_limit", bad: "-1 ⇒ concurrency.hard_limit: expected at least 0"},
		{key: section + ".concurrency.soft_limit", write: "20", lands: lands + "concurrency.soft_limit", bad: "-1 ⇒ concurrency.soft_limit: expected at least 0"},
	}
}

// portRows are the options of a port.
func portRows(section, lands string) []row {
	const cache = "replay_cache[]"
	return []row{
		{key: section + ".tls_options.alpn", write: "[h2]", lands: lands + "tls_options.alpn", want: `["h2"]`},
		{key: section + ".tls_options.versions", write: "[TLSv1.3]", lands: lands + "tls_options.versions", want: `["TLSv1.3"]`},
		{key: section + ".tls_options.default_self_signed", write: "false", lands: lands + "tls_options.default_self_signed"},
		{key: section + ".http_options.compress", write: "true", lands: lands + "http_options.compress"},
		{key: section + ".http_options.h2_backend", write: "false", lands: lands + "http_options.h2_backend"},
		{key: section + ".http_options.idle_timeout", write: "600", lands: lands + "http_options.idle_timeout", bad: "-1 ⇒ http_options.idle_timeout: expected at least 0"},
		{key: section + ".http_options.headers_read_timeout", write: "30", lands: lands + "http_options.headers_read_timeout", bad: "-1 ⇒ http_options.headers_read_timeout: expected at least 0"},
		{key: section + ".http_options.response.headers", write: "{A: x, B: [y, z], C: false}", lands: lands + "http_options.response.headers", want: `{"A":"x","B":["y","z"],"C":false}`},
		{key: section + ".http_options.response.pristine", write: "true", lands: lands + "http_options.response.pristine"},
		{key: section + ".http_options." + cache + ".path_prefix", write: "/api", lands: lands + "http_options.replay_cache.0.path_prefix"},
		{key: section + ".http_options." + cache + ".ttl_seconds", write: "300", lands: lands + "http_options.replay_cache.0.ttl_seconds", bad: "9 ⇒ ttl_seconds: expected at least 10"},
		{key: section + ".http_options." + cache + ".type", write: "cookie", lands: lands + "http_options.replay_cache.0.type", bad: "crumb ⇒ replay_cache[0].type: expected cookie or header"},
		{key: section + ".http_options." + cache + ".name", write: "sid", lands: lands + "http_options.replay_cache.0.name"},
		{key: section + ".http_options." + cache + ".allow_bypass", write: "true", lands: lands + "http_options.replay_cache.0.allow_bypass"},
	}
}

func checkRows(section, lands, method string) []row {
	all := append(timeRows(section, lands), httpRows(section, lands)...)
	return append(all, row{key: section + ".method", write: method, lands: lands + "method"})
}

func timeRows(section, lands string) []row {
	return []row{
		{key: section + ".interval", write: "10000|10s|10000ms", lands: lands + "interval", want: "10s", bad: "often ⇒ interval: expected a duration"},
		{key: section + ".timeout", write: "2000|2s", lands: lands + "timeout", want: "2s", bad: "soon ⇒ timeout: expected a duration"},
		{key: section + ".grace_period", write: "1500|1.5s", lands: lands + "grace_period", want: "1.5s"},
		{key: section + ".grace_period", write: "''", lands: lands + "grace_period", want: "null"},
	}
}

func httpRows(section, lands string) []row {
	return []row{
		{key: section + ".path", write: "/up", lands: lands + "path"},
		{key: section + ".protocol", write: "https", lands: lands + "protocol", bad: "gopher ⇒ protocol: expected http or https"},
		{key: section + ".tls_skip_verify", write: "true", lands: lands + "tls_skip_verify"},
		{key: section + ".tls_server_name", write: "x.org", lands: lands + "tls_server_name"},
		{key: section + ".headers", write: "{B: x, A: 1}|[{name: A, value: 1}, {name: B, value: x}]", lands: lands + "headers", want: `[{"name":"A","values":["1"]},{"name":"B","values":["x"]}]`, bad: "[{value: 1}] ⇒ headers[0].name: is missing"},
	}
}

func machineCheckRows(section string) []row {
	with := ""
	if section == "machine_checks[]" {
		with = "http_service: {internal_port: 1}\n"
	}
	return []row{
		{key: section + ".command", write: "[curl, 'http://x']", lands: "check.init.cmd", want: `["curl","http://x"]`, with: with, bad: "[] ⇒ machine_checks.command: is missing"},
		{key: section + ".image", write: "curlimages/curl", lands: "check.image"},
		{key: section + ".entrypoint", write: "[/bin/sh, -c]", lands: "check.init.entrypoint", want: `["/bin/sh","-c"]`},
		{key: section + ".kill_signal", write: "SIGKILL", lands: "check.stop_config.signal"},
		{key: section + ".kill_timeout", write: "5|5s", lands: "check.stop_config.timeout", want: "5s"},
	}
}
