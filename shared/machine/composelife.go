package machine

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	flygo "github.com/superfly/fly-go"
)

// healthcheck translates a check that compose runs inside the container.
func (s *service) healthcheck(value any) []flygo.ContainerHealthcheck {
	keys, ok := value.(map[string]any)
	if !ok && value != nil {
		s.bad("healthcheck", "expected keys and values")
	}
	if keys["disable"] == true {
		return nil
	}
	command := s.test(keys["test"])
	if command == nil {
		return nil
	}
	check := flygo.ContainerHealthcheck{
		Name:        s.name,
		Interval:    s.seconds(keys, "interval"),
		Timeout:     s.seconds(keys, "timeout"),
		GracePeriod: s.seconds(keys, "start_period"),
		ContainerHealthcheckType: flygo.ContainerHealthcheckType{
			Exec: &flygo.ExecHealthcheck{Command: command},
		},
	}
	if retries, found := keys["retries"]; found {
		n, err := strconv.ParseInt(fmt.Sprint(retries), 10, 32)
		if err != nil || n < 1 {
			s.bad("healthcheck.retries", "expected a number above 0")
		}
		check.FailureThreshold = int32(n)
	}
	return []flygo.ContainerHealthcheck{check}
}

// test gives the command of a check: a text, or CMD-SHELL and a text, is for a shell.
func (s *service) test(value any) []string {
	shell := func(line string) []string { return []string{"/bin/sh", "-c", line} }
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		return shell(value)
	case []any:
		words := texts(value)
		switch {
		case len(words) == 0 || words[0] == "NONE":
			return nil
		case words[0] == "CMD" && len(words) > 1:
			return words[1:]
		case words[0] == "CMD-SHELL" && len(words) == 2:
			return shell(words[1])
		}
	}
	s.bad("healthcheck.test", "expected text, [CMD, …], [CMD-SHELL, text] or [NONE]")
	return nil
}

// seconds reads a duration as compose writes it.
func (s *service) seconds(keys map[string]any, key string) int64 {
	value, ok := keys[key]
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(fmt.Sprint(value))
	if err != nil || d < 0 {
		s.bad("healthcheck."+key, "expected a duration such as 30s, found %q", fmt.Sprint(value))
	}
	return int64((d + time.Second - 1) / time.Second)
}

// dependsOn translates what a service waits for.
func (s *service) dependsOn(value any) []flygo.ContainerDependency {
	conditions := map[string]flygo.ContainerDependencyCondition{
		"service_started": flygo.Started, "service_healthy": flygo.Healthy, "service_completed_successfully": flygo.ExitedSuccessfully,
	}
	waits := map[string]string{}
	switch value := value.(type) {
	case nil:
	case []any:
		for _, name := range texts(value) {
			waits[name] = "service_started"
		}
	case map[string]any:
		for name, how := range value {
			waits[name] = "service_started"
			if m, ok := how.(map[string]any); ok && m["condition"] != nil {
				waits[name] = fmt.Sprint(m["condition"])
			}
		}
	default:
		s.bad("depends_on", "expected a list, or keys and values")
	}
	var out []flygo.ContainerDependency
	for _, name := range slices.Sorted(maps.Keys(waits)) {
		condition, known := conditions[waits[name]]
		if !known {
			s.bad("depends_on."+name, "expected service_started, service_healthy or service_completed_successfully, found %q", waits[name])
		}
		if _, there := s.all.Services[name]; !there {
			s.bad("depends_on", "there is no service %q", name)
		}
		out = append(out, flygo.ContainerDependency{Name: name, Condition: condition})
	}
	return out
}

func (s *service) restart(text string) *flygo.MachineRestart {
	policy, times, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(times)
	if times != "" && (err != nil || n < 0) {
		s.bad("restart", "expected a number after the colon, found %q", text)
	}
	switch policy {
	case "always", "unless-stopped":
		return &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyAlways}
	case "on-failure":
		return &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyOnFailure, MaxRetries: n}
	case "no", "false", "":
		return &flygo.MachineRestart{Policy: flygo.MachineRestartPolicyNo}
	}
	s.bad("restart", "expected no, always, on-failure or unless-stopped, found %q", text)
	return nil
}

func (s *service) stop(c *flygo.ContainerConfig, key, text string) {
	if c.Stop == nil {
		c.Stop = &flygo.StopConfig{}
	}
	if key == "stop_signal" {
		c.Stop.Signal = new(text)
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		s.bad(key, "expected a duration such as 30s, found %q", text)
	}
	c.Stop.Timeout = &flygo.Duration{Duration: d}
}
