package launch

import (
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// The metadata that tells a runner's machine from everything else in its app.
const (
	metadataJob     = "flycd_job"
	metadataAttempt = "flycd_attempt"
	metadataKeep    = "flycd_keep"
	// metadataAddons is what deploys write into their apps' machines: the services that were made for the app.
	metadataAddons = "flycd_addons"
)

// Runner is what a machine is made for.
type Runner struct {
	Job job.Job
	// Attempt numbers the tries at the job from 1.
	Attempt int
	// Deadline is when the runner is to be done, whatever it has reached.
	Deadline time.Time
}

// Machine is a runner's machine as Fly shows it.
type Machine struct {
	// ID is Fly's, Name is Name(Job, Attempt).
	ID, Name string
	// State is Fly's word: created, starting, started, stopped, destroying …
	State, Region string
	Created       time.Time
	Job           job.ID
	Attempt       int
	// Keep is set when a person put flycd_keep into the machine's metadata, to look into it: a
	// sweep leaves it alone.
	Keep bool
}

// Gone reports whether the machine's end is certain.
func (m Machine) Gone() bool { return m.State == "destroyed" || m.State == "destroying" }

// Name is the name of the machine for an attempt at a job: r-<job>-<attempt>.
func Name(id job.ID, attempt int) string { return "r-" + string(id) + "-" + strconv.Itoa(attempt) }

// ParseName reads what Name wrote. Any other name gives false.
func ParseName(name string) (id job.ID, attempt int, ok bool) {
	rest, ok := strings.CutPrefix(name, "r-")
	if !ok {
		return "", 0, false
	}
	text, number, ok := strings.Cut(rest, "-")
	if !ok || len(text) != 26 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", 0, false
	}
	attempt, err := strconv.Atoi(number)
	if err != nil || attempt < 0 || strconv.Itoa(attempt) != number {
		return "", 0, false
	}
	return job.ID(text), attempt, true
}

// flyMachine holds the fields of the Machines API's machine that are needed here.
type flyMachine struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Region    string     `json:"region"`
	CreatedAt string     `json:"created_at"`
	Config    *flyConfig `json:"config"`
}

type flyConfig struct {
	Metadata map[string]string `json:"metadata"`
}

// machine reads a machine of Fly's. It gives false for a machine that is no runner's: one by
// another name, or one whose metadata says that it is something else.
func (f flyMachine) machine() (Machine, bool) {
	id, attempt, ok := ParseName(f.Name)
	if !ok || f.ID == "" {
		return Machine{}, false
	}
	m := Machine{ID: f.ID, Name: f.Name, State: f.State, Region: f.Region, Job: id, Attempt: attempt}
	m.Created, _ = time.Parse(time.RFC3339, f.CreatedAt)
	if f.Config != nil {
		// The config is missing while the machine's host is unreachable: then the name is all there is.
		if f.Config.Metadata[metadataJob] != string(id) {
			return Machine{}, false
		}
		m.Keep = f.Config.Metadata[metadataKeep] != ""
	}
	return m, true
}

// createRequest is the body of a machine's creation.
type createRequest struct {
	Config      machineConfig `json:"config"`
	Region      string        `json:"region,omitempty"`
	Name        string        `json:"name"`
	SkipSecrets bool          `json:"skip_secrets"`
}

type machineConfig struct {
	Env         map[string]string `json:"env,omitempty"`
	Init        struct{}          `json:"init"`
	Guest       *Guest            `json:"guest,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Image       string            `json:"image"`
	AutoDestroy bool              `json:"auto_destroy,omitempty"`
	Restart     *restart          `json:"restart,omitempty"`
	DNS         *dns              `json:"dns,omitempty"`
	StopConfig  *stopConfig       `json:"stop_config,omitempty"`
}

type restart struct {
	Policy string `json:"policy"`
}

type dns struct {
	SkipRegistration bool `json:"skip_registration"`
}

type stopConfig struct {
	Timeout string `json:"timeout,omitempty"`
	Signal  string `json:"signal,omitempty"`
}

// request is what Fly is asked for: a machine that runs once, serves nothing, is in no DNS answer,
// has time to give its job back when it is stopped, and leaves nothing behind.
func (l *Launcher) request(r Runner) (createRequest, error) {
	guest, err := ParseSize(l.Size)
	if err != nil {
		return createRequest{}, err
	}
	env := map[string]string{}
	for k, v := range l.Env {
		env[k] = v
	}
	env["FLYCD_JOB"] = string(r.Job.ID)
	env["FLYCD_ATTEMPT"] = strconv.Itoa(r.Attempt)
	env["FLYCD_DEADLINE"] = r.Deadline.UTC().Format(time.RFC3339)
	if l.Mint != "" {
		env["FLYCD_TICKET"] = Ticket(TicketKey(l.Mint), r.Job.ID, r.Attempt, r.Deadline)
		env["FLYCD_GRANT_URL"] = l.GrantURL
	}
	return createRequest{
		Name:   Name(r.Job.ID, r.Attempt),
		Region: l.Region,
		Config: machineConfig{
			Image:       l.Image,
			Env:         env,
			Guest:       &guest,
			Metadata:    map[string]string{metadataJob: string(r.Job.ID), metadataAttempt: strconv.Itoa(r.Attempt)},
			AutoDestroy: true,
			Restart:     &restart{Policy: "no"},
			DNS:         &dns{SkipRegistration: true},
			StopConfig:  &stopConfig{Signal: "SIGTERM", Timeout: stopTimeout.String()},
		},
	}, nil
}
