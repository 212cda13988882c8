package adopt

import (
	"cmp"
	"maps"
	"slices"

	flygo "github.com/superfly/fly-go"
)

// services writes the groups' services: in the short form of http_service where one of them has it and
// comes first, as http_service does.
func (c *composition) services() {
	var all []any
	var texts []string
	firsts := map[string]bool{}
	for _, name := range c.names() {
		for i, s := range listOf(c.account.groups[name].config, "services") {
			one := asObject(clean(serviceOf(asObject(s))))
			text := textOf(one)
			if _, seen := firsts[text]; !seen {
				firsts[text] = true
			}
			firsts[text] = firsts[text] && i == 0
			if at := slices.Index(texts, text); at >= 0 {
				all[at].(object)["processes"] = append(listOf(all[at].(object), "processes"), name)
				continue
			}
			texts = append(texts, text)
			one["processes"] = []any{name}
			all = append(all, one)
		}
	}
	for i := range all {
		if short := httpService(asObject(all[i])); short != nil && firsts[texts[i]] {
			c.doc["http_service"] = short
			c.forGroups([]any{short})
			all = slices.Delete(all, i, i+1)
			break
		}
	}
	set(c.doc, "services", c.forGroups(all))
}

// serviceOf writes a machine's service as a manifest does.
func serviceOf(s object) object {
	out := object{"auto_start_machines": s["autostart"]}
	for _, key := range []string{"protocol", "internal_port", "min_machines_running", "concurrency"} {
		out[key] = s[key]
	}
	switch s["autostop"] {
	case nil:
	case true:
		out["auto_stop_machines"] = "stop"
	case false:
		out["auto_stop_machines"] = "off"
	default:
		out["auto_stop_machines"] = s["autostop"]
	}
	var ports, tcp, http []any
	for _, p := range listOf(s, "ports") {
		port := maps.Clone(asObject(p))
		port["force_https"] = onlyTrue(port["force_https"])
		ports = append(ports, port)
	}
	for _, k := range listOf(s, "checks") {
		check := checkOf(asObject(k))
		kind := check["type"]
		delete(check, "type")
		if kind == "tcp" {
			tcp = append(tcp, check)
			continue
		}
		http = append(http, check)
	}
	out["ports"], out["tcp_checks"], out["http_checks"] = ports, tcp, http
	return out
}

// checkOf writes a machine's check as a manifest does.
func checkOf(k object) object {
	out := object{}
	for _, key := range []string{"type", "port", "interval", "timeout", "grace_period", "method", "path", "protocol", "tls_server_name", "tls_skip_verify"} {
		out[key] = k[key]
	}
	headers := object{}
	for _, h := range listOf(k, "headers") {
		if values := listOf(asObject(h), "values"); len(values) > 0 {
			headers[stringOf(asObject(h), "name")] = values[0]
		}
	}
	out["headers"] = headers
	return out
}

// httpService gives the short form of a service on ports 80 and 443; nil where it is another.
func httpService(s object) object {
	ports := listOf(s, "ports")
	if s["protocol"] != "tcp" || len(ports) != 2 || s["tcp_checks"] != nil {
		return nil
	}
	plain, secure := asObject(ports[0]), asObject(ports[1])
	out := object{
		"force_https": plain["force_https"], "http_options": plain["http_options"], "tls_options": secure["tls_options"],
		"checks": s["http_checks"],
	}
	want := []object{
		{"port": 80, "handlers": []string{"http"}, "force_https": plain["force_https"], "http_options": plain["http_options"]},
		{"port": 443, "handlers": []string{"http", "tls"}, "http_options": plain["http_options"], "tls_options": secure["tls_options"]},
	}
	for i, port := range []object{plain, secure} {
		maps.DeleteFunc(want[i], func(_ string, v any) bool { return v == nil })
		if textOf(want[i]) != textOf(port) {
			return nil
		}
	}
	for _, key := range []string{"internal_port", "auto_stop_machines", "auto_start_machines", "min_machines_running", "concurrency", "processes"} {
		out[key] = s[key]
	}
	return asObject(clean(out))
}

// checks writes the checks that belong to no service. One of several groups is written once.
func (c *composition) checks() {
	all := object{}
	for _, name := range c.names() {
		for check, k := range asObject(c.account.groups[name].config["checks"]) {
			one := asObject(clean(checkOf(asObject(k))))
			if have := asObject(all[check]); have != nil {
				have["processes"] = append(listOf(have, "processes"), name)
				continue
			}
			one["processes"] = []any{name}
			all[check] = one
		}
	}
	for _, one := range all {
		c.forGroups([]any{one})
	}
	set(c.doc, "checks", all)
}

// sizes writes the size of each group's machines, where all of them have the same.
func (c *composition) sizes() {
	var all []any
	var texts []string
	for _, name := range c.names() {
		g := c.account.groups[name]
		if g.guest == nil {
			c.notef("Machines of group %s have different sizes; vm says nothing of them, so that each keeps its own.", name)
			continue
		}
		one := sizeOf(g.guest)
		if i := slices.Index(texts, textOf(one)); i >= 0 {
			all[i].(object)["processes"] = append(listOf(all[i].(object), "processes"), name)
			continue
		}
		texts = append(texts, textOf(one))
		one["processes"] = []any{name}
		all = append(all, one)
	}
	if len(all) == 1 && len(listOf(asObject(all[0]), "processes")) == len(c.groups) {
		delete(asObject(all[0]), "processes") // a size that names no group is for all of them
	}
	set(c.doc, "vm", all)
}

// sizeOf writes a guest, by the name of a preset where there is one.
func sizeOf(guest object) object {
	out := object{}
	for _, key := range []string{"cpu_kind", "cpus", "memory_mb", "max_memory_mb", "gpus", "gpu_kind", "host_dedication_id", "persist_rootfs", "kernel_args"} {
		set(out, key, guest[key])
	}
	if out["gpu_kind"] != nil {
		return out
	}
	cpus, memory := cmp.Or(textOf(out["cpus"]), "1"), cmp.Or(textOf(out["memory_mb"]), "256")
	for _, name := range slices.Sorted(maps.Keys(flygo.MachinePresets)) {
		p := flygo.MachinePresets[name]
		if p.GPUKind != "" || p.CPUKind != stringOf(out, "cpu_kind") || textOf(p.CPUs) != cpus {
			continue
		}
		out["size"] = name
		delete(out, "cpu_kind")
		delete(out, "cpus")
		if textOf(p.MemoryMB) == memory {
			delete(out, "memory_mb")
		}
		break
	}
	return out
}
