package manifest

// HTTPService is Fly's [http_service].
type HTTPService struct {
	InternalPort       int            `yaml:"internal_port" in:"min=0,max=65535" doc:"Port that the app listens on."`
	ForceHTTPS         bool           `yaml:"force_https" doc:"Redirect http to https."`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines" doc:"off, stop or suspend when idle."`
	AutoStartMachines  *bool          `yaml:"auto_start_machines" doc:"Start machines when requests come."`
	MinMachinesRunning *int           `yaml:"min_machines_running" doc:"Machines that stay up in the primary region."`
	Processes          []string       `yaml:"processes" doc:"Process groups that this belongs to."`
	Concurrency        *Concurrency   `yaml:"concurrency" doc:"Limits of load per machine."`
	TLSOptions         *TLSOptions    `yaml:"tls_options"`
	HTTPOptions        *HTTPOptions   `yaml:"http_options"`
	Checks             []HTTPCheck    `yaml:"checks" doc:"HTTP checks."`
	MachineChecks      []MachineCheck `yaml:"machine_checks"`
}

// Autostop is "off", "stop" or "suspend"; true and false are read as "stop" and "off".
type Autostop string

// Service is one of Fly's [[services]].
type Service struct {
	Protocol           string         `yaml:"protocol" in:"enum=tcp|udp" doc:"tcp or udp."`
	InternalPort       int            `yaml:"internal_port" in:"lax,min=0,max=65535" doc:"Port that the app listens on."`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines" doc:"off, stop or suspend when idle."`
	AutoStartMachines  *bool          `yaml:"auto_start_machines" doc:"Start machines when requests come."`
	MinMachinesRunning *int           `yaml:"min_machines_running" doc:"Machines that stay up in the primary region."`
	Ports              []Port         `yaml:"ports" in:"one" doc:"Public ports."`
	Concurrency        *Concurrency   `yaml:"concurrency" doc:"Limits of load per machine, or \"soft,hard\"."`
	TCPChecks          []TCPCheck     `yaml:"tcp_checks" in:"one"`
	HTTPChecks         []HTTPCheck    `yaml:"http_checks" in:"one"`
	MachineChecks      []MachineCheck `yaml:"machine_checks"`
	Processes          []string       `yaml:"processes" doc:"Process groups that this belongs to."`
}

// Port is a public port or a range of them.
type Port struct {
	Port              *int               `yaml:"port" in:"lax,min=1,max=65535" doc:"Public port."`
	StartPort         *int               `yaml:"start_port" in:"lax,min=1,max=65535" doc:"First of a range of public ports."`
	EndPort           *int               `yaml:"end_port" in:"lax,min=1,max=65535" doc:"Last of it."`
	Handlers          []string           `yaml:"handlers" doc:"What the proxy does: http, tls, proxy_proto, pg_tls, edge_http."`
	ForceHTTPS        bool               `yaml:"force_https" doc:"Redirect http to https."`
	TLSOptions        *TLSOptions        `yaml:"tls_options"`
	HTTPOptions       *HTTPOptions       `yaml:"http_options"`
	ProxyProtoOptions *ProxyProtoOptions `yaml:"proxy_proto_options"`
}

// Concurrency bounds the load of a machine.
type Concurrency struct {
	Type      string `yaml:"type" in:"enum=connections|requests" doc:"What is counted."`
	HardLimit int    `yaml:"hard_limit" doc:"Load that is never exceeded."`
	SoftLimit int    `yaml:"soft_limit" doc:"Load above which other machines are preferred."`
}

// TLSOptions are a port's TLS settings.
type TLSOptions struct {
	ALPN              []string `yaml:"alpn"`
	Versions          []string `yaml:"versions"`
	DefaultSelfSigned *bool    `yaml:"default_self_signed"`
}

// HTTPOptions are a port's HTTP settings.
type HTTPOptions struct {
	Compress           *bool                `yaml:"compress"`
	Response           *HTTPResponseOptions `yaml:"response"`
	H2Backend          *bool                `yaml:"h2_backend"`
	IdleTimeout        *int                 `yaml:"idle_timeout"`
	HeadersReadTimeout *int                 `yaml:"headers_read_timeout"`
	ReplayCache        []ReplayCache        `yaml:"replay_cache"`
}

// ReplayCache is a rule for keeping fly-replay answers.
type ReplayCache struct {
	PathPrefix  string `yaml:"path_prefix"`
	TTLSeconds  int    `yaml:"ttl_seconds"`
	Type        string `yaml:"type"`
	Name        string `yaml:"name"`
	AllowBypass *bool  `yaml:"allow_bypass"`
}

// HTTPResponseOptions sets response headers: a string, a list of strings, or false to remove one.
type HTTPResponseOptions struct {
	Headers  map[string]any `yaml:"headers"`
	Pristine *bool          `yaml:"pristine"`
}

// ProxyProtoOptions chooses the version of the PROXY protocol.
type ProxyProtoOptions struct {
	Version string `yaml:"version"`
}

// TCPCheck is a service's TCP check.
type TCPCheck struct {
	Interval    *Duration `yaml:"interval" in:"unit=ms" doc:"Time between checks; a number is milliseconds."`
	Timeout     *Duration `yaml:"timeout" in:"unit=ms" doc:"Time an answer may take; a number is milliseconds."`
	GracePeriod *Duration `yaml:"grace_period" in:"unit=ms" doc:"Time before the first check; a number is milliseconds."`
}

// HTTPCheck is a service's HTTP check.
type HTTPCheck struct {
	Interval      *Duration         `yaml:"interval" in:"unit=ms" doc:"Time between checks; a number is milliseconds."`
	Timeout       *Duration         `yaml:"timeout" in:"unit=ms" doc:"Time an answer may take; a number is milliseconds."`
	GracePeriod   *Duration         `yaml:"grace_period" in:"unit=ms" doc:"Time before the first check; a number is milliseconds."`
	Method        *string           `yaml:"method"`
	Path          *string           `yaml:"path"`
	Protocol      *string           `yaml:"protocol"`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify"`
	TLSServerName *string           `yaml:"tls_server_name"`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value" doc:"Request headers."`
}

// Check is one of Fly's top-level [checks].
type Check struct {
	Type          string            `yaml:"type" in:"enum=http|tcp" doc:"http or tcp."`
	Port          *int              `yaml:"port" doc:"Port to ask."`
	Interval      *Duration         `yaml:"interval" in:"unit=ms" doc:"Time between checks; a number is milliseconds."`
	Timeout       *Duration         `yaml:"timeout" in:"unit=ms" doc:"Time an answer may take; a number is milliseconds."`
	GracePeriod   *Duration         `yaml:"grace_period" in:"unit=ms" doc:"Time before the first check; a number is milliseconds."`
	Method        *string           `yaml:"method"`
	Path          *string           `yaml:"path"`
	Protocol      *string           `yaml:"protocol"`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify"`
	TLSServerName *string           `yaml:"tls_server_name"`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value" doc:"Request headers."`
	Processes     []string          `yaml:"processes"`
}

// MachineCheck is a command that runs in a machine of its own after a deploy.
type MachineCheck struct {
	Command     []string  `yaml:"command" doc:"Command that must succeed."`
	Image       string    `yaml:"image" doc:"Image to run it in, where not the app's."`
	Entrypoint  []string  `yaml:"entrypoint"`
	KillSignal  *string   `yaml:"kill_signal"`
	KillTimeout *Duration `yaml:"kill_timeout" in:"unit=s"`
}
