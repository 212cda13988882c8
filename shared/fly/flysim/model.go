package flysim

import (
	"encoding/json"
	"time"

	flygo "github.com/superfly/fly-go"
)

// org is an organisation.
type org struct {
	slug    string
	numeric uint64
}

// app is an app with everything it owns.
type app struct {
	id, name, network, role string
	numeric                 uint64
	org                     *org
	created                 time.Time
	machines                []*machine
	volumes                 []*volume
	ips                     []*ipAssignment
	certificates            map[string]*certificate
	secrets                 secrets
	keys                    map[string]*secretKey
	keysVersion             uint64
	releases                []*release
	egress                  []*egressIP
	log                     []logLine
	logged                  int
	traffic                 traffic
}

// machine is one machine. Fields are guarded by Server.mu.
type machine struct {
	id, name, region string
	app              *app
	state            string
	instance         string
	config           map[string]any
	spec             *flygo.MachineConfig
	image            imageRef
	ip               string
	created, updated time.Time
	gone             time.Time
	events           []event
	checks           []check
	lease            *lease
	cordoned         bool
	host             string
	versions         []version
	secretsVersion   uint64
	skipSecrets      bool
	restarts         int
	launches         int
	// schedule is the one that is kept, timetable counts how often it changed.
	schedule  string
	timetable int
	wedged    bool
	// epoch counts changes of state: tasks of an older one lapse.
	epoch int
	// after is what follows when the running stop is over; nil: the machine is stopped.
	after func()
	// past is what lists show while Lag.List trails.
	past   []snapshot
	proc   *process
	ports  map[int]int
	home   string
	output []string
	load   load
	forced string // the state that checks are held in, by PUT /_sim
}

type snapshot struct {
	at   time.Time
	json json.RawMessage
}

type version struct {
	Version    string         `json:"version"`
	UserConfig map[string]any `json:"user_config"`
}

// event is what the API shows of a machine's history, newest first.
type event struct {
	ID        string        `json:"id"`
	Type      string        `json:"type"`
	Status    string        `json:"status"`
	Source    string        `json:"source"`
	Timestamp int64         `json:"timestamp"`
	Request   *eventRequest `json:"request,omitempty"`
}

type eventRequest struct {
	ExitEvent    *exitEvent    `json:"exit_event,omitempty"`
	MonitorEvent *monitorEvent `json:"MonitorEvent,omitempty"`
	RestartCount int           `json:"restart_count"`
}

type monitorEvent struct {
	ExitEvent *exitEvent `json:"exit_event,omitempty"`
}

type exitEvent struct {
	ExitCode      int       `json:"exit_code"`
	GuestExitCode int       `json:"guest_exit_code"`
	GuestSignal   int       `json:"guest_signal"`
	OOMKilled     bool      `json:"oom_killed"`
	RequestedStop bool      `json:"requested_stop"`
	Restarting    bool      `json:"restarting"`
	Signal        int       `json:"signal"`
	ExitedAt      time.Time `json:"exited_at"`
}

type check struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Output    string    `json:"output"`
	UpdatedAt time.Time `json:"updated_at"`
}

type lease struct {
	nonce, owner, description string
	expires                   time.Time
}

// machineView is a machine as the API shows it.
type machineView struct {
	ID               string         `json:"id"`
	Name             string         `json:"name"`
	State            string         `json:"state"`
	Region           string         `json:"region"`
	ImageRef         imageRef       `json:"image_ref"`
	InstanceID       string         `json:"instance_id"`
	Version          string         `json:"version"`
	PrivateIP        string         `json:"private_ip"`
	CreatedAt        time.Time      `json:"created_at"`
	UpdatedAt        time.Time      `json:"updated_at"`
	Config           map[string]any `json:"config,omitempty"`
	IncompleteConfig map[string]any `json:"incomplete_config,omitempty"`
	Events           []event        `json:"events"`
	Checks           []check        `json:"checks"`
	Nonce            string         `json:"nonce,omitempty"`
	HostStatus       string         `json:"host_status"`
	Cordoned         bool           `json:"cordoned"`
}

func (m *machine) view() machineView {
	v := machineView{
		ID: m.id, Name: m.name, State: m.state, Region: m.region, ImageRef: m.image,
		InstanceID: m.instance, Version: m.instance, PrivateIP: m.ip,
		CreatedAt: m.created.UTC().Truncate(time.Second), UpdatedAt: m.updated.UTC().Truncate(time.Second),
		Events: m.events, Checks: m.checks, HostStatus: m.host, Cordoned: m.cordoned,
	}
	if m.checks == nil {
		v.Checks = []check{}
	}
	if m.host == hostOK {
		v.Config = m.config
	} else {
		v.IncompleteConfig = m.config
	}
	return v
}

func (m *machine) alive() bool { return m.state != stateDestroyed }

// The states of a machine, as the API names them.
const (
	stateCreated    = "created"
	stateStarting   = "starting"
	stateStarted    = "started"
	stateStopping   = "stopping"
	stateStopped    = "stopped"
	stateSuspending = "suspending"
	stateSuspended  = "suspended"
	stateReplacing  = "replacing"
	stateDestroying = "destroying"
	stateDestroyed  = "destroyed"
	stateFailed     = "failed"

	hostOK = "ok"
)
