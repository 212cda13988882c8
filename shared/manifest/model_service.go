package manifest

// HTTPService is Fly's [http_service].
type HTTPService struct {
	InternalPort       int            `yaml:"internal_port" in:"min=0,max=65535" doc:"Port that the app listens on."`
	ForceHTTPS         bool           `yaml:"force_https" doc:"Redirect http to https."`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines" doc:"off, stop or suspend when idle."`
	AutoStartMachines  *bool          `yaml:"auto_start_machines" doc:"Start machines when requests come."`
	MinMachinesRunning *int           `yaml:"min_machines_running" in:"min=0" doc:"Machines that stay up in the primary region."`
	Processes          []string       `yaml:"processes" doc:"Process groups that this belongs to."`
	Concurrency        *Concurrency   `yaml:"concurrency" doc:"Limits of load per machine."`
	TLSOptions         *TLSOptions    `yaml:"tls_options" doc:"How the proxy speaks TLS."`
	HTTPOptions        *HTTPOptions   `yaml:"http_options" doc:"How the proxy speaks HTTP."`
	Checks             []HTTPCheck    `yaml:"checks" doc:"HTTP checks."`
	MachineChecks      []MachineCheck `yaml:"machine_checks" doc:"Commands that must succeed beside each machine that was updated."`
}

// Autostop is "off", "stop" or "suspend"; true and false are read as "stop" and "off".
type Autostop string

// Service is one of Fly's [[services]].
type Service struct {
	Protocol           string         `yaml:"protocol" in:"enum=tcp|udp" doc:"tcp or udp."`
	InternalPort       int            `yaml:"internal_port" in:"lax,min=0,max=65535" doc:"Port that the app listens on."`
	AutoStopMachines   *Autostop      `yaml:"auto_stop_machines" doc:"off, stop or suspend when idle."`
	AutoStartMachines  *bool          `yaml:"auto_start_machines" doc:"Start machines when requests come."`
	MinMachinesRunning *int           `yaml:"min_machines_running" in:"min=0" doc:"Machines that stay up in the primary region."`
	Ports              []Port         `yaml:"ports" in:"one" doc:"Public ports."`
	Concurrency        *Concurrency   `yaml:"concurrency" doc:"Limits of load per machine, or \"soft,hard\"."`
	TCPChecks          []TCPCheck     `yaml:"tcp_checks" in:"one" doc:"Checks that connect to the internal port."`
	HTTPChecks         []HTTPCheck    `yaml:"http_checks" in:"one" doc:"Checks that ask the internal port over HTTP."`
	MachineChecks      []MachineCheck `yaml:"machine_checks" doc:"Commands that must succeed beside each machine that was updated."`
	Processes          []string       `yaml:"processes" doc:"Process groups that this belongs to."`
}

// Port is a public port or a range of them.
type Port struct {
	Port              *int               `yaml:"port" in:"lax,min=1,max=65535" doc:"Public port."`
	StartPort         *int               `yaml:"start_port" in:"lax,min=1,max=65535" doc:"First of a range of public ports."`
	EndPort           *int               `yaml:"end_port" in:"lax,min=1,max=65535" doc:"Last of it."`
	Handlers          []string           `yaml:"handlers" doc:"What the proxy does: http, tls, proxy_proto, pg_tls, edge_http."`
	ForceHTTPS        bool               `yaml:"force_https" doc:"Redirect http to https."`
	TLSOptions        *TLSOptions        `yaml:"tls_options" doc:"How the proxy speaks TLS."`
	HTTPOptions       *HTTPOptions       `yaml:"http_options" doc:"How the proxy speaks HTTP."`
	ProxyProtoOptions *ProxyProtoOptions `yaml:"proxy_proto_options" doc:"How the proxy speaks the PROXY protocol."`
}

// Concurrency bounds the load of a machine.
type Concurrency struct {
	Type      string `yaml:"type" in:"enum=connections|requests" doc:"What is counted."`
	HardLimit int    `yaml:"hard_limit" in:"min=0" doc:"Load that is never exceeded."`
	SoftLimit int    `yaml:"soft_limit" in:"min=0" doc:"Load above which other machines are preferred."`
}

// TLSOptions are a port's TLS settings.
type TLSOptions struct {
	ALPN              []string `yaml:"alpn" doc:"Protocols offered in ALPN, such as h2."`
	Versions          []string `yaml:"versions" doc:"Versions of TLS that are allowed, such as TLSv1.3."`
	DefaultSelfSigned *bool    `yaml:"default_self_signed" doc:"Serve a self-signed certificate where there is no other."`
}

// HTTPOptions are a port's HTTP settings.
type HTTPOptions struct {
	Compress           *bool                `yaml:"compress" doc:"Compress answers."`
	Response           *HTTPResponseOptions `yaml:"response" doc:"What the proxy does to answers."`
	H2Backend          *bool                `yaml:"h2_backend" doc:"The app speaks HTTP/2 without TLS."`
	IdleTimeout        *int                 `yaml:"idle_timeout" in:"min=0" doc:"Seconds after which an idle connection is closed."`
	HeadersReadTimeout *int                 `yaml:"headers_read_timeout" in:"min=0" doc:"Seconds that a client may take to send its headers."`
	ReplayCache        []ReplayCache        `yaml:"replay_cache" doc:"Rules for keeping fly-replay answers."`
}

// ReplayCache is a rule for keeping fly-replay answers.
type ReplayCache struct {
	PathPrefix  string `yaml:"path_prefix" doc:"Path, or host and path, that the rule is for."`
	TTLSeconds  int    `yaml:"ttl_seconds" in:"min=10" doc:"Seconds that an answer is kept: 10 or more."`
	Type        string `yaml:"type" in:"enum=cookie|header" doc:"What tells clients apart: cookie or header."`
	Name        string `yaml:"name" doc:"Name of the cookie or header."`
	AllowBypass *bool  `yaml:"allow_bypass" doc:"Let clients skip the cache."`
}

// HTTPResponseOptions sets response headers: a string, a list of strings, or false to remove one.
type HTTPResponseOptions struct {
	Headers  map[string]any `yaml:"headers" doc:"Response headers: text, a list of texts, or false to remove one."`
	Pristine *bool          `yaml:"pristine" doc:"Add no headers of Fly to answers."`
}

// ProxyProtoOptions chooses the version of the PROXY protocol.
type ProxyProtoOptions struct {
	Version string `yaml:"version" in:"enum=v1|v2" doc:"v1 or v2."`
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
	Method        *string           `yaml:"method" doc:"HTTP method; GET without it."`
	Path          *string           `yaml:"path" doc:"Path to ask."`
	Protocol      *string           `yaml:"protocol" in:"enum=http|https" doc:"http or https."`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify" doc:"Accept any certificate."`
	TLSServerName *string           `yaml:"tls_server_name" doc:"Host name that the certificate is for."`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value" doc:"Request headers."`
}

// Check is one of Fly's top-level [checks].
type Check struct {
	Type          string            `yaml:"type" in:"enum=http|tcp" doc:"http or tcp."`
	Port          *int              `yaml:"port" in:"min=1,max=65535" doc:"Port to ask."`
	Interval      *Duration         `yaml:"interval" in:"unit=ms" doc:"Time between checks; a number is milliseconds."`
	Timeout       *Duration         `yaml:"timeout" in:"unit=ms" doc:"Time an answer may take; a number is milliseconds."`
	GracePeriod   *Duration         `yaml:"grace_period" in:"unit=ms" doc:"Time before the first check; a number is milliseconds."`
	Method        *string           `yaml:"method" doc:"HTTP method; GET without it."`
	Path          *string           `yaml:"path" doc:"Path to ask."`
	Protocol      *string           `yaml:"protocol" in:"enum=http|https" doc:"http or https."`
	TLSSkipVerify *bool             `yaml:"tls_skip_verify" doc:"Accept any certificate."`
	TLSServerName *string           `yaml:"tls_server_name" doc:"Host name that the certificate is for."`
	Headers       map[string]string `yaml:"headers" in:"pairs=name|value" doc:"Request headers."`
	Processes     []string          `yaml:"processes" doc:"Process groups that this belongs to."`
}

// MachineCheck is a command that runs in a machine of its own after a deploy.
type MachineCheck struct {
	Command     []string  `yaml:"command" doc:"Command that must succeed."`
	Image       string    `yaml:"image" doc:"Image to run it in, where not the app's."`
	Entrypoint  []string  `yaml:"entrypoint" doc:"Entrypoint of its machine, where not the image's."`
	KillSignal  *string   `yaml:"kill_signal" doc:"Signal that stops it."`
	KillTimeout *Duration `yaml:"kill_timeout" in:"unit=s" doc:"Time it has to stop; a number is seconds."`
}
