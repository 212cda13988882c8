package adopt

import (
	"fmt"
	"slices"
	"strings"
)

// remarks are the sentences for the person who reads the manifest.
func (c *composition) remarks() {
	if !c.pinned {
		c.notef("Fly does not tell the digest of %s, so the first plan may show the image as changed.", c.image)
	}
	if n := c.running(func(state string) bool { return state == "stopped" || state == "suspended" }); n > 0 {
		c.notef("Machines that are stopped or suspended stay so: %d of them.", n)
	}
	for _, name := range c.names() {
		if !c.account.groups[name].alike {
			c.notef("Machines of group %s differ from each other, and a manifest has one configuration for all of a group: this is the one that most of them have.", name)
		}
	}
	if m := c.main().metadata(); m["flycd_digest"] != "" {
		c.notef("FlyCD has deployed it before, from another manifest; the first deploy of this one writes its own digest into each machine.")
	}
	for _, m := range c.foreign {
		why := "it is in no process group"
		if config := m.GetConfig(); config != nil && config.Schedule != "" {
			why = "it runs " + config.Schedule + "; entries of schedules make machines of their own"
		} else if config != nil && config.AutoDestroy {
			why = "it goes when its process ends"
		}
		c.notef("Machine %s is left alone: %s.", title(m), why)
	}
	for _, v := range c.Volumes {
		if !v.IsAttached() {
			c.notef("Volume %s (%s, %d GB in %s) is attached to no machine, and stays.", v.Name, v.ID, v.SizeGb, v.Region)
		}
	}
	for name, value := range asObject(c.doc["env"]) {
		if text, _ := value.(string); text != "" && suspicious(name) {
			c.notef("env.%s looks like a secret, and this file is for everybody who reads the repository: make it one.", name)
		}
	}
	slices.Sort(c.notes)
}

func (c *composition) running(state func(string) bool) int {
	n := 0
	for _, g := range c.account.groups {
		for _, m := range g.active {
			if state(m.State) {
				n++
			}
		}
	}
	return n
}

// suspicious is true of names that secrets have.
func suspicious(name string) bool {
	for _, word := range []string{"PASSWORD", "SECRET", "TOKEN", "PRIVATE_KEY", "API_KEY", "ACCESS_KEY"} {
		if strings.Contains(strings.ToUpper(name), word) {
			return true
		}
	}
	return false
}

// head is the comment above the manifest.
func (c *composition) head() string {
	from := "its machines"
	if c.release {
		from = fmt.Sprintf("its release %d and its machines", c.version)
	}
	lines := []string{fmt.Sprintf("App %s as it runs, adopted from %s.", c.App, from)}
	for _, note := range c.notes {
		lines = append(lines, "Note: "+note)
	}
	return commented(lines)
}

// foot is the comment below it: the secrets, as YAML to be uncommented.
func (c *composition) foot() string {
	if len(c.Secrets) == 0 {
		return ""
	}
	lines := []string{
		"Secrets that the app has. They stay as they are. To have FlyCD set one, uncomment it and say where",
		"its value comes from: env, sops or file.",
		"secrets:",
	}
	for _, s := range c.Secrets {
		lines = append(lines, fmt.Sprintf("  - {name: %s, type: env}", s.Name))
	}
	return commented(lines)
}

// commented makes comment lines; whatever a name holds, a line stays one.
func commented(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimRight("# "+strings.Map(oneLine, line), " ") + "\n")
	}
	return b.String()
}

func oneLine(r rune) rune {
	if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
		return ' '
	}
	return r
}
