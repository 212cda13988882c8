package manifest

import "slices"

// IsFly reports whether a key at the top of a manifest is of Fly's own configuration reference; the
// others are FlyCD's.
func IsFly(key string) bool { return slices.Contains(flyKeys(), key) }

func flyKeys() []string {
	return []string{
		"app", "primary_region", "kill_signal", "kill_timeout", "swap_size_mb", "console_command", "host_dedication_id",
		"experimental", "build", "deploy", "env", "processes", "http_service", "services", "checks", "mounts", "statics",
		"files", "metrics", "vm", "restart", "machine_checks", "machine_config", "container",
	}
}
