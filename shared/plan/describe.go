package plan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	flygo "github.com/superfly/fly-go"
)

// Description says what a step does, in parts: what `plan -o json` prints of it, and for those who print
// a plan in another way. Its names are public. Like the plan's JSON it holds no value that may be secret.
type Description struct {
	Do      string `json:"do"`
	App     string `json:"app"`
	Group   string `json:"group,omitempty"`
	Volume  string `json:"volume,omitempty"`
	Machine string `json:"machine,omitempty"`
	Name    string `json:"name,omitempty"`
	Region  string `json:"region,omitempty"`
	Image   string `json:"image,omitempty"`
	Why     string `json:"why,omitempty"`
	Stopped bool   `json:"stopped,omitempty"`
	// Hidden is true of a machine that the proxy does not see yet.
	Hidden bool `json:"hidden,omitempty"`
	// Restarts and Downtime are Restarts and Downtime of the step.
	Restarts bool   `json:"restarts,omitempty"`
	Downtime string `json:"downtime,omitempty"`
	// Set and Unset are names of secrets.
	Set   []string `json:"set,omitempty"`
	Unset []string `json:"unset,omitempty"`
	// Command is what is run, and Beside the machine that it is about.
	Command string   `json:"command,omitempty"`
	Beside  string   `json:"beside,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

// Describe gives a step's description.
func Describe(step Step) Description {
	f := machineForm(step)
	if f.Do == "" {
		f = otherForm(step)
	}
	f.Restarts, f.Downtime = Restarts(step), Downtime(step)
	return f
}

// otherForm is about all but machines.
func otherForm(step Step) Description {
	switch s := step.(type) {
	case CreateApp:
		return Description{Do: "create app", App: s.App, Name: s.App}
	case DestroyApp:
		return Description{Do: "destroy app", App: s.App, Name: s.App}
	case AllocateIP:
		return Description{Do: "allocate address", App: s.App, Name: s.IP.Type, Region: s.IP.Region}
	case ReleaseIP:
		return Description{Do: "release address", App: s.App, Name: s.Address, Why: s.Why}
	case CreateVolume:
		return Description{Do: "create volume", App: s.App, Group: s.Volume.Group, Name: s.Volume.Name, Region: s.Region, Why: fmt.Sprintf("%d GB", s.Volume.SizeGB)}
	case SetSecrets:
		return Description{Do: "set secrets", App: s.App, Set: s.Set, Unset: s.Unset, Why: secretText(s)}
	case CreateAddon:
		return Description{Do: "create " + s.Addon.Type, App: s.App, Name: s.Addon.Name, Region: s.Addon.Region}
	case DestroyAddon:
		return Description{Do: "destroy " + s.Addon.Type, App: s.App, Name: s.Addon.Name, Why: s.Why}
	case AddCert:
		return Description{Do: "add certificate", App: s.App, Name: s.Hostname}
	case RemoveCert:
		return Description{Do: "remove certificate", App: s.App, Name: s.Hostname, Why: s.Why}
	case ExtendVolume:
		f := volumeForm("extend volume", s.App, s.Volume)
		f.Changes = []Change{{Key: "size_gb", Old: strconv.Itoa(s.Volume.SizeGb), New: strconv.Itoa(s.SizeGB)}}
		return f
	case UpdateVolume:
		f := volumeForm("update volume", s.App, s.Volume)
		f.Changes = s.Changes
		return f
	case DestroyVolume:
		f := volumeForm("destroy volume", s.App, s.Volume)
		f.Why = s.Why
		return f
	case RunCommand:
		return Description{Do: "run " + strings.ReplaceAll(s.Kind, "_", " "), App: s.App, Name: s.Name, Region: s.Region, Beside: s.Beside, Command: strings.Join(s.Config.Init.Cmd, " ")}
	default:
		return Description{}
	}
}

func volumeForm(do, app string, v flygo.Volume) Description {
	return Description{Do: do, App: app, Volume: v.ID, Name: v.Name, Region: v.Region}
}

// secretText names what is set and removed.
func secretText(s SetSecrets) string {
	var parts []string
	if len(s.Set) > 0 {
		parts = append(parts, strings.Join(s.Set, ", "))
	}
	if len(s.Unset) > 0 {
		parts = append(parts, "remove "+strings.Join(s.Unset, ", "))
	}
	return strings.Join(parts, "; ")
}

// machineForm is about machines.
func machineForm(step Step) Description {
	switch s := step.(type) {
	case Cordon:
		return Description{Do: "hide machine", App: s.App, Machine: s.Machine, Name: s.Name}
	case Uncordon:
		return Description{Do: "show machine", App: s.App, Machine: s.Machine, Name: s.Name}
	case CreateMachine:
		return createForm("create machine", s)
	case UpdateMachine:
		return Description{
			Do: "update machine", App: s.App, Group: s.Config.ProcessGroup(), Machine: s.Machine.ID, Name: s.Machine.Name,
			Region: s.Machine.Region, Image: s.Config.Image, Stopped: s.SkipLaunch, Changes: s.Changes,
		}
	case ReplaceMachine:
		f := createForm("replace machine", s.Create)
		f.Machine, f.Why = s.Old.ID, s.Why
		return f
	case DestroyMachine:
		return Description{
			Do: "destroy machine", App: s.App, Group: s.Machine.ProcessGroup(), Machine: s.Machine.ID, Name: s.Machine.Name,
			Region: s.Machine.Region, Why: s.Why,
		}
	default:
		return Description{}
	}
}

func createForm(do string, s CreateMachine) Description {
	f := Description{Do: do, App: s.App, Group: s.Group, Name: s.Name, Region: s.Region, Image: s.Config.Image, Stopped: s.SkipLaunch, Hidden: s.Hidden}
	if s.StandbyFor != "" {
		f.Why = "standby for " + s.StandbyFor
	}
	return f
}

// MarshalJSON gives the plan's public form: stages with their steps, and the notes. Configs are not
// in it; what changes in them is.
func (p Plan) MarshalJSON() ([]byte, error) {
	type stage struct {
		Name     string        `json:"name"`
		Parallel int           `json:"parallel"`
		Steps    []Description `json:"steps"`
		// Again says that the plan is made again after this stage.
		Again bool `json:"again,omitempty"`
	}
	out := struct {
		Empty  bool     `json:"empty"`
		Stages []stage  `json:"stages"`
		Notes  []string `json:"notes,omitempty"`
		Counts Counts   `json:"counts"`
	}{Empty: p.Empty(), Counts: p.Counts(), Stages: []stage{}, Notes: p.Notes}
	for _, s := range p.Stages {
		forms := []Description{}
		for _, step := range s.Steps {
			forms = append(forms, Describe(step))
		}
		out.Stages = append(out.Stages, stage{Name: s.Name, Parallel: s.Parallel, Steps: forms, Again: s.Again})
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write plan: %w", err)
	}
	return raw, nil
}
