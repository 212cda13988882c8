package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// once looks for sections of which flyctl takes one for a group and leaves the others out in silence.
func (c checker) once() {
	a := c.app
	metrics, restarts, vms := make([][]string, len(a.Metrics)), make([][]string, len(a.Restart)), make([][]string, len(a.VM))
	for i, s := range a.Metrics {
		metrics[i] = s.Processes
		if s.Port == 0 && s.Path == "" && !s.HTTPS {
			c.ignored(fmt.Sprintf("metrics[%d]", i), "says nothing of what is scraped; write port and path")
		}
	}
	for i, s := range a.Restart {
		restarts[i] = s.Processes
	}
	for i, s := range a.VM {
		vms[i] = s.Processes
		c.memory(fmt.Sprintf("vm[%d]", i), s)
	}
	c.oneEach("metrics", metrics, c.app.defaultGroup())
	c.oneEach("restart", restarts, c.app.defaultGroup())
	c.oneEach("vm", vms, "")
}

// oneEach wants one section at most for each group. A section that names none is for the default
// group; of [[vm]], where that is empty, for all groups that no other section names.
func (c checker) oneEach(section string, processes [][]string, otherwise string) {
	taken := map[string]int{}
	for i, groups := range processes {
		if len(groups) == 0 {
			groups = []string{otherwise}
		}
		for _, g := range groups {
			if first, twice := taken[g]; twice {
				of := "all groups"
				if g != "" {
					of = "group " + clip(g)
				}
				c.ignored(fmt.Sprintf("%s[%d]", section, i), "is a second section for %s (%s[%d] is the first), and flyctl takes one of them in silence; name the groups of each with processes", of, section, first)
				break
			}
			taken[g] = i
		}
	}
}

// memory wants the two ways to write a memory to agree.
func (c checker) memory(key string, vm VM) {
	if vm.Memory == "" || vm.MemoryMB == 0 {
		return
	}
	mb, err := strconv.ParseInt(vm.Memory, 10, 64)
	if err != nil {
		var size int64
		size, err = units.RAMInBytes(vm.Memory)
		mb = size / units.MiB
	}
	if err == nil && mb != int64(vm.MemoryMB) {
		c.ignored(key+".memory", "says something else than memory_mb, which wins; write one of them")
	}
}

// overwritten are the keys of a machine_config over which a manifest's own sections are always laid.
func overwritten() map[string]string {
	return map[string]string{
		"image": "build.image", "files": "[[files]]", "metrics": "[metrics]", "services": "[http_service] or [[services]]", "checks": "[checks]",
		"env": "[env]", "statics": "[[statics]]", "mounts": "[[mounts]]", "stop_config": "kill_signal and kill_timeout", "restart": "[[restart]]",
	}
}

// Overwritten gives the top-level keys of a machine_config that have no effect, each with what of the
// manifest says it instead, sorted. It gives none for what is not a JSON object.
func Overwritten(config []byte) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(config, &object) != nil {
		return nil
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(object)) {
		instead, known := overwritten()[key]
		if value := object[key]; known && !slices.Contains([]string{"null", "{}", "[]", `""`}, string(bytes.TrimSpace(value))) {
			out = append(out, key+" has no effect there; write "+instead)
		}
	}
	return out
}

// machineConfig checks a machine_config that is written in the manifest itself.
func (c checker) machineConfig() {
	texts := map[string]string{"machine_config": c.app.MachineConfig}
	if e := c.app.Experimental; e != nil {
		texts["experimental.machine_config"] = e.MachineConfig
		if e.MachineConfig != "" && c.app.MachineConfig != "" && e.MachineConfig != c.app.MachineConfig {
			c.ignored("machine_config", "has no effect beside experimental.machine_config, which wins; write one of them")
		}
	}
	for key, text := range texts {
		if !strings.HasPrefix(strings.TrimSpace(text), "{") {
			continue
		}
		if !json.Valid([]byte(text)) {
			c.bad(key, "is not valid JSON")
		}
		for _, sentence := range Overwritten([]byte(text)) {
			c.ignored(key, "%s", sentence)
		}
	}
	if b := c.app.Build; b != nil && b.Compose != nil && (texts["machine_config"] != "" || texts["experimental.machine_config"] != "") {
		c.ignored("machine_config", "has no effect beside build.compose, which wins; write one of them")
	}
}
