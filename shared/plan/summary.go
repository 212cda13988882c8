package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Summary gives a line per step, in order: what is created, changed (old → new by key), replaced
// and why, destroyed and why. Values that may be secret are not in it.
func (p Plan) Summary() []string {
	var lines []string
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			lines = append(lines, Line(step))
		}
	}
	return lines
}

// Line says in one line what a step does.
func Line(step Step) string {
	s := stepForm(step)
	line := s.Do
	for _, part := range []string{s.Machine, s.Name} {
		if part != "" {
			line += " " + part
			break
		}
	}
	if s.Region != "" {
		line += " in " + s.Region
	}
	if s.Why != "" {
		line += ": " + s.Why
	}
	if len(s.Changes) > 0 {
		line += ": " + changeText(s.Changes)
	}
	return line
}

// changeText gives what changed, for people: what FlyCD writes about itself is left out beside a real
// change, and digests are shortened. The JSON form has everything.
func changeText(all []Change) string {
	shown := slices.DeleteFunc(slices.Clone(all), Change.bookkeeping)
	if len(shown) == 0 {
		shown = all
	}
	parts := make([]string, len(shown))
	for i, c := range shown {
		parts[i] = c.short().String()
	}
	return strings.Join(parts, "; ")
}

// bookkeeping reports whether the key is one that every deploy writes.
func (c Change) bookkeeping() bool {
	return strings.HasPrefix(c.Key, "metadata.flycd_") || strings.HasPrefix(c.Key, "env.FLYCD_")
}

// short shortens what only machines read to the end: images to what differs in them, and hashes.
func (c Change) short() Change {
	if c.Key == "image" && c.Old != "" && c.New != "" {
		c.Old, c.New = shortImages(c.Old, c.New)
	}
	c.Old, c.New = shortHash(c.Old), shortHash(c.New)
	return c
}

// shownDigits is how much of a hash tells it from others.
const shownDigits = 12

// shortImages gives the part in which two images differ: the tag of one repository, the digest of one
// tag, else the whole name.
func shortImages(before, after string) (string, string) {
	oldName, oldDigest, _ := strings.Cut(before, "@sha256:")
	newName, newDigest, _ := strings.Cut(after, "@sha256:")
	oldRepo, oldTag := cutTag(oldName)
	newRepo, newTag := cutTag(newName)
	switch {
	case oldName == newName && oldDigest != "" && newDigest != "":
		return oldDigest[:min(len(oldDigest), shownDigits)], newDigest[:min(len(newDigest), shownDigits)]
	case oldRepo == newRepo && oldTag != "" && newTag != "":
		return oldTag, newTag
	default:
		return oldName, newName
	}
}

// cutTag parts repository:tag. A colon before the last slash is a port.
func cutTag(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// shortHash shortens a value that is a hash, or a tag made of one.
func shortHash(value string) string {
	hex := strings.TrimPrefix(value, "t-")
	if len(hex) < 40 || strings.Trim(hex, "0123456789abcdef") != "" {
		return value
	}
	return value[:len(value)-len(hex)+shownDigits]
}

// String gives key: old → new; a key that is new or gone says so, and one whose values are left out
// has changed.
func (c Change) String() string {
	switch {
	case c.Old == "" && c.New == "":
		return c.Key + " changed"
	case c.Old == "":
		return c.Key + ": + " + c.New
	case c.New == "":
		return c.Key + ": - " + c.Old
	}
	return c.Key + ": " + c.Old + " → " + c.New
}

// form is the JSON form of a step: what `plan -o json` prints. Its names are public.
type form struct {
	Do      string   `json:"do"`
	App     string   `json:"app"`
	Group   string   `json:"group,omitempty"`
	Machine string   `json:"machine,omitempty"`
	Name    string   `json:"name,omitempty"`
	Region  string   `json:"region,omitempty"`
	Image   string   `json:"image,omitempty"`
	Why     string   `json:"why,omitempty"`
	Stopped bool     `json:"stopped,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

func stepForm(step Step) form {
	switch s := step.(type) {
	case CreateApp:
		return form{Do: "create app", App: s.App, Name: s.App}
	case DestroyApp:
		return form{Do: "destroy app", App: s.App, Name: s.App}
	case AllocateIP:
		return form{Do: "allocate address", App: s.App, Name: s.IP.Type, Region: s.IP.Region}
	case ReleaseIP:
		return form{Do: "release address", App: s.App, Name: s.Address}
	case CreateVolume:
		return form{Do: "create volume", App: s.App, Group: s.Volume.Group, Name: s.Volume.Name, Region: s.Region, Why: fmt.Sprintf("%d GB", s.Volume.SizeGB)}
	case CreateMachine:
		return createForm("create machine", s)
	case UpdateMachine:
		return form{
			Do: "update machine", App: s.App, Group: s.Config.ProcessGroup(), Machine: s.Machine.ID, Name: s.Machine.Name,
			Region: s.Machine.Region, Image: s.Config.Image, Stopped: s.SkipLaunch, Changes: s.Changes,
		}
	case ReplaceMachine:
		f := createForm("replace machine", s.Create)
		f.Machine, f.Why = s.Old.ID, s.Why
		return f
	case DestroyMachine:
		return form{
			Do: "destroy machine", App: s.App, Group: s.Machine.ProcessGroup(), Machine: s.Machine.ID, Name: s.Machine.Name,
			Region: s.Machine.Region, Why: s.Why,
		}
	}
	return form{}
}

func createForm(do string, s CreateMachine) form {
	f := form{Do: do, App: s.App, Group: s.Group, Name: s.Name, Region: s.Region, Image: s.Config.Image, Stopped: s.SkipLaunch}
	if s.StandbyFor != "" {
		f.Why = "standby for " + s.StandbyFor
	}
	return f
}

// MarshalJSON gives the plan's public form: stages with their steps, and the notes. Configs are not
// in it; what changes in them is.
func (p Plan) MarshalJSON() ([]byte, error) {
	type stage struct {
		Name     string `json:"name"`
		Parallel int    `json:"parallel"`
		Steps    []form `json:"steps"`
	}
	out := struct {
		Empty  bool     `json:"empty"`
		Stages []stage  `json:"stages"`
		Notes  []string `json:"notes,omitempty"`
	}{Empty: p.Empty(), Stages: []stage{}, Notes: p.Notes}
	for _, s := range p.Stages {
		forms := []form{}
		for _, step := range s.Steps {
			forms = append(forms, stepForm(step))
		}
		out.Stages = append(out.Stages, stage{Name: s.Name, Parallel: s.Parallel, Steps: forms})
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write plan: %w", err)
	}
	return raw, nil
}
