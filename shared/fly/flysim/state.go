package flysim

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"
)

// State is everything that the simulator holds, as GET /_sim/state shows it. Values of secrets and
// nonces of leases are not in it.
type State struct {
	Now      time.Time      `json:"now"`
	Apps     []AppState     `json:"apps"`
	Addons   []AddonState   `json:"addons"`
	Postgres []ClusterState `json:"postgres"`
}

// AddonState is an add-on in State: a Redis database or a bucket, without its password.
type AddonState struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	Org      string          `json:"org"`
	App      string          `json:"app,omitempty"`
	Plan     string          `json:"plan"`
	Region   string          `json:"region"`
	Status   string          `json:"status"`
	Metadata json.RawMessage `json:"metadata"`
}

// ClusterState is a managed Postgres cluster in State, without its passwords.
type ClusterState struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Org      string   `json:"org"`
	Region   string   `json:"region"`
	Plan     string   `json:"plan"`
	DiskGB   int      `json:"disk_gb"`
	Status   string   `json:"status"`
	Attached []string `json:"attached_apps"`
}

// AppState is an app in State.
type AppState struct {
	ID             string          `json:"id"`
	Name           string          `json:"name"`
	Org            string          `json:"org"`
	Network        string          `json:"network"`
	Status         string          `json:"status"`
	NumericID      uint64          `json:"internal_numeric_id"`
	Machines       []MachineState  `json:"machines"`
	Volumes        json.RawMessage `json:"volumes"`
	Secrets        []SecretState   `json:"secrets"`
	SecretsVersion uint64          `json:"secrets_version"`
	IPs            json.RawMessage `json:"ips"`
	Egress         json.RawMessage `json:"egress_ips"`
	Certificates   json.RawMessage `json:"certificates"`
	Proxy          ProxyState      `json:"proxy"`
	Releases       json.RawMessage `json:"releases"`
}

// ProxyState is what the proxy did for an app: requests that came for it, machines that were started for them, and machines that
// were stopped because there were none. URL is the app's address on this host, once AppURL was asked for it.
type ProxyState struct {
	URL      string `json:"url,omitempty"`
	Requests int    `json:"requests"`
	Starts   int    `json:"starts"`
	Stops    int    `json:"stops"`
}

// SecretState is a secret without its value.
type SecretState struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// MachineState is a machine in State, destroyed ones included for as long as they are remembered.
type MachineState struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Region     string            `json:"region"`
	InstanceID string            `json:"instance_id"`
	ImageRef   json.RawMessage   `json:"image_ref"`
	Config     json.RawMessage   `json:"config"`
	Metadata   map[string]string `json:"metadata"`
	Events     json.RawMessage   `json:"events"`
	Checks     json.RawMessage   `json:"checks"`
	HostStatus string            `json:"host_status"`
	Cordoned   bool              `json:"cordoned"`
	Lease      *LeaseState       `json:"lease"`
	Launches   int               `json:"launches"`
	// SecretsVersion is the version of the app's secrets that the machine runs with.
	SecretsVersion uint64 `json:"secrets_version"`
	Wedged         bool   `json:"wedged,omitempty"`
	// Pid, Address and Addresses (by internal port) are those of a machine that runs a command;
	// Output is the end of what it said.
	Pid       int               `json:"pid,omitempty"`
	Address   string            `json:"address,omitempty"`
	Addresses map[string]string `json:"addresses,omitempty"`
	Output    []string          `json:"output,omitempty"`
}

// LeaseState is who may change a machine, and until when.
type LeaseState struct {
	Owner     string    `json:"owner"`
	ExpiresAt time.Time `json:"expires_at"`
}

// State takes a picture.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out := State{Now: s.now().UTC(), Apps: []AppState{}, Addons: []AddonState{}, Postgres: []ClusterState{}}
	for _, a := range s.sortedApps() {
		out.Apps = append(out.Apps, s.appState(a))
	}
	for _, a := range s.addons {
		out.Addons = append(out.Addons, s.addonState(a))
	}
	for _, p := range s.clusters {
		one := ClusterState{ID: p.id, Name: p.name, Org: p.org.slug, Region: p.region, Plan: p.plan, DiskGB: p.disk, Status: s.clusterStatus(p), Attached: []string{}}
		for _, a := range p.attached {
			one.Attached = append(one.Attached, a.app.name)
		}
		out.Postgres = append(out.Postgres, one)
	}
	return out
}

func (s *Server) addonState(a *addon) AddonState {
	one := AddonState{ID: a.id, Type: a.kind, Name: a.name, Org: a.org.slug, Plan: a.plan, Region: a.region, Status: s.addonStatus(a), Metadata: raw(a.metadata)}
	if a.app != nil {
		one.App = a.app.name
	}
	return one
}

func (s *Server) appState(a *app) AppState {
	out := AppState{
		ID: a.id, Name: a.name, Org: a.org.slug, Network: a.network, Status: a.view().Status, NumericID: a.numeric,
		Machines: []MachineState{}, Secrets: []SecretState{}, SecretsVersion: a.secrets.version,
		Proxy:   ProxyState{URL: s.doors.apps[a.name], Requests: a.traffic.requests, Starts: a.traffic.starts, Stops: a.traffic.stops},
		Volumes: raw(a.lastingVolumes()), IPs: raw(listed(a.ips)), Egress: raw(listed(a.egress)), Releases: raw(listed(a.releases)),
	}
	for _, v := range a.secretViews(false) {
		out.Secrets = append(out.Secrets, SecretState{v.Name, v.Digest})
	}
	certs := []certificateView{}
	for _, host := range slices.Sorted(maps.Keys(a.certificates)) {
		certs = append(certs, a.certificateView(a.certificates[host]))
	}
	out.Certificates = raw(certs)
	for _, m := range a.machines {
		if m.alive() || s.now().Before(m.gone.Add(s.opts.Remember)) {
			out.Machines = append(out.Machines, s.machineState(m))
		}
	}
	return out
}

func (s *Server) machineState(m *machine) MachineState {
	out := MachineState{
		ID: m.id, Name: m.name, State: m.state, Region: m.region, InstanceID: m.instance, ImageRef: raw(m.image), Config: raw(m.config),
		Metadata: m.metadata(), Events: raw(m.events), Checks: raw(listed(m.checks)), HostStatus: m.host,
		Cordoned: m.cordoned, Launches: m.launches, SecretsVersion: m.secretsVersion, Wedged: m.wedged, Output: slices.Clone(m.output),
	}
	if l := s.held(m); l != nil {
		out.Lease = &LeaseState{l.owner, l.expires.UTC()}
	}
	if m.proc != nil {
		out.Pid = m.proc.cmd.Process.Pid
	}
	for i, inside := range m.internalPorts() {
		if m.ports[inside] == 0 {
			continue
		}
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(m.ports[inside]))
		if i == 0 {
			out.Address, out.Addresses = at, map[string]string{}
		}
		out.Addresses[strconv.Itoa(inside)] = at
	}
	return out
}

// raw is a copy that does not change any more.
func raw(v any) json.RawMessage {
	text, _ := json.Marshal(v) // views always marshal
	return text
}

func unmarshalBytes(text []byte, into *[]byte) error { return json.Unmarshal(text, into) }
