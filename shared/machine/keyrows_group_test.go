package machine_test

import "fmt"

const twoGroups = "processes: {web: w, job: j}\n"

// groupRows are Fly's keys that are about process groups.
func groupRows() []row {
	all := []row{
		{key: "mounts[].source", write: "data", lands: "config.mounts.0.name", bad: "'' ⇒ mounts[0].source: is missing"},
		{key: "mounts[].destination", write: "/d", lands: "config.mounts.0.path", bad: "'' ⇒ mounts[0].destination: is missing ¦ d ⇒ mounts.destination: is \"d\""},
		{key: "mounts[].initial_size", write: "20|'20'|20gb|20GB", lands: "target.Volumes.0.SizeGB", want: "20", bad: "lots ⇒ mounts[0].initial_size: expected a size such as 10gb ¦ 100mb ⇒ mounts[0].initial_size: expected at least 1gb"},
		{key: "mounts[].snapshot_retention", write: "14", lands: "target.Volumes.0.SnapshotRetention", bad: "61 ⇒ mounts[0].snapshot_retention: expected 1 to 60 days"},
		{key: "mounts[].scheduled_snapshots", write: "false", lands: "target.Volumes.0.ScheduledSnapshots"},
		{key: "mounts[].auto_extend_size_threshold", write: "80", lands: "config.mounts.0.extend_threshold_percent", with: "mounts: [{source: d, destination: /d, auto_extend_size_increment: 1gb}]\n", bad: "49 ⇒ mounts[0].auto_extend_size_threshold: expected 50 to 99 percent"},
		{key: "mounts[].auto_extend_size_increment", write: "2gb|2|'2'|2GB", lands: "config.mounts.0.add_size_gb", want: "2", with: "mounts: [{source: d, destination: /d, auto_extend_size_threshold: 80}]\n", bad: "101gb ⇒ mounts[0].auto_extend_size_increment: expected at most 100gb ¦ '' ⇒ mounts[0].auto_extend_size_increment: is missing"},
		{key: "mounts[].auto_extend_size_limit", write: "50gb|50", lands: "config.mounts.0.size_gb_limit", want: "50", with: "mounts: [{source: d, destination: /d, auto_extend_size_threshold: 80, auto_extend_size_increment: 1gb}]\n", bad: "501gb ⇒ mounts[0].auto_extend_size_limit: expected at most 500gb"},
		{key: "mounts[].processes", write: "[web]", lands: "groups.web.mounts.0.name", want: "data", with: twoGroups, bad: `[wbe] ⇒ mounts[0].processes[0]: there is no process group "wbe", only job or web`},
		{key: "metrics[].port", write: "9091", lands: "config.metrics.port", bad: "70000 ⇒ metrics[0].port: expected a number from 0 to 65535"},
		{key: "metrics[].path", write: "/m", lands: "config.metrics.path"},
		{key: "metrics[].https", write: "true", lands: "config.metrics.https", with: "metrics: [{port: 1, path: /m}]\n"},
		{key: "metrics[].processes", write: "[web]", lands: "groups.web.metrics.port", want: "1", with: twoGroups + "metrics: [{port: 1}]\n", bad: `[wbe] ⇒ metrics[0].processes[0]: there is no process group "wbe"`},
		{key: "restart[].policy", write: "on-failure", lands: "config.restart.policy", bad: "sometimes ⇒ restart[0].policy: expected always, on-failure or never"},
		{key: "restart[].policy", write: "never", lands: "config.restart.policy", want: "no"},
		{key: "restart[].retries", write: "5", lands: "config.restart.max_retries", bad: "-1 ⇒ restart[0].retries: expected at least 0"},
		{key: "restart[].processes", write: "[web]", lands: "groups.web.restart.policy", want: "always", with: twoGroups, bad: `[wbe] ⇒ restart[0].processes[0]: there is no process group "wbe"`},
		{key: "vm[].processes", write: "[web]", lands: "groups.web.guest.cpus", want: "4", with: twoGroups + "vm: [{cpus: 4}]\n", bad: `[wbe] ⇒ vm[0].processes[0]: there is no process group "wbe"`},
		{key: "deploy.release_command_vm.processes", write: "[app]", lands: "definition.deploy.release_command_vm.processes", want: `["app"]`},
		{key: "schedules[].vm.processes", write: "[]", lands: "schedule.schedule", want: "daily", bad: "[app] ⇒ schedules[0].vm.processes: has no effect"},
	}
	all = append(all, guestRows("vm[]", "config", "vm")...)
	all = append(all, guestRows("deploy.release_command_vm", "release", "deploy.release_command_vm")...)
	return append(all, guestRows("schedules[].vm", "schedule", "schedules.nightly.vm")...)
}

// guestRows are the keys of a size, wherever it is written.
func guestRows(section, lands, says string) []row {
	guest := func(key, write, at, bad string) row {
		return row{key: section + "." + key, write: write, lands: lands + ".guest." + at, bad: bad}
	}
	size := guest("size", "performance-2x", "memory_mb", fmt.Sprintf(`huge ⇒ %s.size: is "huge", which is none of Fly's sizes: shared-cpu-1x, shared-cpu-2x`, says))
	size.want = "4096"
	memory := guest("memory", "1gb|1024|'1024'|1024mb|1GB", "memory_mb", fmt.Sprintf(`0mb ⇒ %[1]s.memory: is "0mb" ¦ much ⇒ %[1]s.memory: is "much"`, says))
	memory.want = "1024"
	gpu := guest("gpu_kind", "l40s", "memory_mb", "")
	gpu.want = "16384"
	kernel := guest("kernel_args", "[quiet]|quiet", "kernel_args", "")
	kernel.want = `["quiet"]`
	return []row{
		size, memory, gpu, kernel,
		guest("cpu_kind", "performance", "cpu_kind", fmt.Sprintf(`quantum ⇒ %s.cpu_kind: is "quantum"; it can be shared or performance`, says)),
		guest("cpus", "4", "cpus", "-1 ⇒ cpus: expected at least 0"),
		guest("memory_mb", "300", "memory_mb", "-1 ⇒ memory_mb: expected at least 0"),
		guest("max_memory_mb", "4096", "max_memory_mb", ""),
		guest("gpus", "2", "gpus", ""),
		guest("host_dedication_id", "hd", "host_dedication_id", ""),
		guest("persist_rootfs", "restart", "persist_rootfs", "maybe ⇒ persist_rootfs: expected never, restart or always"),
	}
}
