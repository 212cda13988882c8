package adopt

import (
	"encoding/base64"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	flygo "github.com/superfly/fly-go"
)

// section is a part of a manifest that machines show.
type section struct {
	name string
	// keys are those of the manifest that it replaces.
	keys  []string
	write func(*composition)
}

func sections() []section {
	one := func(name string, write func(*composition)) section { return section{name, []string{name}, write} }
	return []section{
		one("processes", (*composition).processes),
		one("env", (*composition).env),
		{"services", []string{"http_service", "services"}, (*composition).services},
		one("checks", (*composition).checks),
		one("mounts", (*composition).mounts),
		one("statics", (*composition).statics),
		one("files", (*composition).writeFiles),
		one("metrics", (*composition).metrics),
		{"vm", []string{"vm", "host_dedication_id", "vm_size"}, (*composition).sizes},
		one("restart", (*composition).restart),
		{"stop", []string{"kill_signal", "kill_timeout"}, (*composition).stop},
		{"init", []string{"swap_size_mb"}, (*composition).start},
		{"containers", []string{"machine_config", "container"}, (*composition).containers},
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

// app gives the config that sections of the whole app are taken from.
func (c *composition) app() object { return c.main().config }

// processes writes the groups' commands. A single group app without one needs no entry.
func (c *composition) processes() {
	commands := object{}
	for _, name := range c.groups {
		g := c.account.groups[name]
		if g == nil {
			commands[name] = asObject(c.definition["processes"])[name]
			continue
		}
		commands[name] = quoted(listOf(asObject(g.config["init"]), "cmd"))
	}
	if len(commands) == 1 && commands[flygo.MachineProcessGroupApp] == "" {
		return
	}
	c.doc["processes"] = commands
}

// quoted is the inverse of splitting a command as a shell does.
func quoted(words []any) string {
	var all []string
	for _, w := range words {
		word, _ := w.(string)
		plain := func(r rune) bool {
			return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:=@%+,", r))
		}
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
			word = "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

// env keeps variables that are empty: they are not the same as none.
func (c *composition) env() {
	if env := ownEnv(c.app()); len(env) > 0 {
		c.doc["env"] = env
	}
}

// start writes how a machine starts, but for the command, which processes say.
func (c *composition) start() {
	init := asObject(c.app()["init"])
	set(c.doc, "swap_size_mb", init["swap_size_mb"])
	set(c.doc, "experimental", object{"entrypoint": init["entrypoint"], "exec": init["exec"]})
}

func (c *composition) stop() {
	stop := asObject(c.app()["stop_config"])
	set(c.doc, "kill_signal", stop["signal"])
	set(c.doc, "kill_timeout", stop["timeout"])
}

// each writes a section that has an entry for each group, once for groups whose entries are equal.
func (c *composition) each(key string, entry func(config object) object) {
	var all []any
	var texts []string
	for _, name := range c.names() {
		one := asObject(clean(entry(c.account.groups[name].config)))
		if one == nil {
			continue
		}
		if i := slices.Index(texts, textOf(one)); i >= 0 {
			all[i].(object)["processes"] = append(listOf(all[i].(object), "processes"), name)
			continue
		}
		texts = append(texts, textOf(one))
		one["processes"] = []any{name}
		all = append(all, one)
	}
	set(c.doc, key, c.forGroups(all))
}

// forGroups leaves out whom a section is for where the app has no process groups.
func (c *composition) forGroups(all []any) []any {
	if c.doc["processes"] == nil && len(c.groups) == 1 {
		for _, one := range all {
			delete(asObject(one), "processes")
		}
	}
	return all
}

func (c *composition) metrics() {
	c.each("metrics", func(config object) object {
		m := asObject(config["metrics"])
		return object{"port": m["port"], "path": m["path"], "https": onlyTrue(m["https"])}
	})
}

// restart leaves Fly's default out, which is on-failure with ten tries.
func (c *composition) restart() {
	c.each("restart", func(config object) object {
		r := asObject(config["restart"])
		policy := stringOf(r, "policy")
		if policy == "on-failure" && (r["max_retries"] == nil || r["max_retries"] == json.Number("10")) {
			return nil
		}
		if policy == "no" {
			policy = "never"
		}
		return object{"policy": policy, "retries": r["max_retries"]}
	})
}

func (c *composition) mounts() {
	c.each("mounts", func(config object) object {
		mounts := listOf(config, "mounts")
		if len(mounts) == 0 {
			return nil
		}
		m := asObject(mounts[0])
		return object{
			"source": c.volumeName(m), "destination": m["path"], "auto_extend_size_threshold": notZero(m["extend_threshold_percent"]),
			"auto_extend_size_increment": gigabytes(m["add_size_gb"]), "auto_extend_size_limit": gigabytes(m["size_gb_limit"]),
		}
	})
}

func gigabytes(v any) any {
	if n, ok := notZero(v).(json.Number); ok {
		return n.String() + "GB"
	}
	return nil
}

func notZero(v any) any {
	if v == json.Number("0") {
		return nil
	}
	return v
}

func onlyTrue(v any) any {
	if v == true {
		return v
	}
	return nil
}

func (c *composition) statics() {
	set(c.doc, "statics", listOf(c.app(), "statics"))
}

// mostInline is how long a file may be that is written into the manifest.
const mostInline = 4 << 10

// writeFiles writes the files of the machines: text into the manifest, other content beside it.
func (c *composition) writeFiles() {
	var all []any
	for _, f := range listOf(c.app(), "files") {
		file := asObject(f)
		guest := stringOf(file, "guest_path")
		one := object{"guest_path": guest, "secret_name": file["secret_name"]}
		if raw := stringOf(file, "raw_value"); raw != "" {
			content, err := base64.StdEncoding.DecodeString(raw)
			switch {
			case err != nil:
				c.notef("The content of the file %s cannot be read.", guest)
				continue
			case len(content) > 0 && len(content) <= mostInline && printable(content):
				one["raw_value"] = string(content)
			default:
				name := path.Join("files", path.Clean("/"+guest))
				one["local_path"], c.files[name] = name, content
			}
		}
		all = append(all, one)
	}
	set(c.doc, "files", all)
}

// printable is true of text that YAML and TOML can hold as it is.
func printable(content []byte) bool {
	return utf8.Valid(content) && !slices.ContainsFunc([]rune(string(content)), func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r)
	})
}

// containers writes a machine's containers; the one that runs the deploy's image is named.
func (c *composition) containers() {
	config := c.app()
	all := listOf(config, "containers")
	if len(all) == 0 {
		return
	}
	raw, err := json.MarshalIndent(object{"containers": clean(all)}, "", "  ")
	if err != nil {
		return // came from JSON
	}
	c.doc["machine_config"] = string(raw) + "\n"
	for _, one := range all {
		if o := asObject(one); stringOf(o, "image") == stringOf(config, "image") {
			set(c.doc, "container", o["name"])
			return
		}
	}
}
