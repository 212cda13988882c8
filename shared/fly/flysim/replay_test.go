package flysim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fly/flysim"
)

// recordedLine is a line of a recording: METHOD PATH [nonce NONCE_1] -> STATUS BODY.
var recordedLine = regexp.MustCompile(`^([A-Z]+) +(\S+)(?: \[nonce (\S+)\])? -> (\d+)(?: (.*))?$`)

// wholeQueries are the queries whose outlines were recorded, as fly-go sends them.
var wholeQueries = map[string]string{
	"query app{id image}":                                        `query ($appName: String!, $imageRef: String!) { app(name: $appName) { id image(ref: $imageRef) { id digest ref compressedSize: compressedSizeFull manifest } } }`,
	"query app{egressIpAddresses}":                               `query ($appName: String!) { app(name: $appName) { egressIpAddresses { nodes { id ip version region updatedAt } } } }`,
	"query organizations{nodes}":                                 `query($admin: Boolean!) { organizations(admin: $admin) { nodes { id slug rawSlug name type paidPlan billable viewerRole internalNumericId } } }`,
	"query viewer{...on User ...on Macaroon}":                    `query { viewer { ... on User { id email enablePaidHobby } ... on Macaroon { email } } }`,
	"query nearestRegion{code name gatewayAvailable deprecated}": `query { nearestRegion { code name gatewayAvailable deprecated } }`,
	"mutation validateWireGuardPeers{invalidPeerIps}":            `mutation($input: ValidateWireGuardPeersInput!) { validateWireGuardPeers(input: $input) { invalidPeerIps } }`,
	"mutation addWireGuardPeer{peerip endpointip pubkey}":        `mutation($input: AddWireGuardPeerInput!) { addWireGuardPeer(input: $input) { peerip endpointip pubkey } }`,
}

// replay sends what the real flyctl sent and knows which of the recorded ids is which of ours.
type replay struct {
	t      *testing.T
	s      *flysim.Server
	url    string
	bodies map[string]json.RawMessage
	ids    map[string]string
	counts map[string]int
	// deploy is the recording that is replayed, files how many of its bodies have files so far.
	deploy string
	files  int
}

func (p *replay) real(text string) string {
	return regexp.MustCompile(`(MACHINE|NONCE|RELEASE)_\d+|vol_\d+|next_token=t1`).ReplaceAllStringFunc(text, func(alias string) string {
		if id := p.ids[alias]; id != "" {
			return id
		}
		return alias
	})
}

// learn gives the next id of a kind its recorded name.
func (p *replay) learn(prefix, id string) {
	if id == "" || slices.Contains(mapValues(p.ids), id) {
		return
	}
	p.counts[prefix]++
	p.ids[fmt.Sprint(prefix, p.counts[prefix])] = id
}

func mapValues(m map[string]string) []string {
	var all []string
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// body is what was sent: a file of the recording, or what the line says.
func (p *replay) body(method, path, said string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	kept := method == http.MethodPost && len(parts) == 4 && slices.Contains([]string{"machines", "volumes", "ip_assignments"}, parts[3]) ||
		len(parts) == 5 && parts[3] == "machines" && (method == http.MethodPost || method == http.MethodDelete) || method == http.MethodPost && path == "/api/v1/releases"
	if kept {
		p.files++
		prefix := fmt.Sprintf("%s/%02d-", p.deploy, p.files)
		for name, body := range p.bodies {
			if strings.HasPrefix(name, prefix) {
				return p.real(string(body))
			}
		}
	}
	if outline, vars, is := strings.Cut(said, " vars="); is {
		query, known := wholeQueries[outline]
		if !known {
			p.t.Fatalf("nobody knows the whole query of %q", outline)
		}
		text, _ := json.Marshal(query)
		return `{"query":` + string(text) + `,"variables":` + vars + `}`
	}
	return p.real(said)
}

func (p *replay) line(text string) {
	p.t.Helper()
	m := recordedLine.FindStringSubmatch(text)
	if m == nil {
		p.t.Fatalf("cannot read %q", text)
	}
	method, path, nonce, status, said := m[1], m[2], m[3], m[4], m[5]
	headers := []string{}
	if nonce != "" {
		headers = append(headers, "fly-machine-lease-nonce", p.real(nonce))
	}
	got, answer := send(p.t, asked{method, p.url + p.real(path), p.body(method, path, said), headers, true})
	if fmt.Sprint(got) != status {
		p.t.Errorf("%s: %s: answered %d %s", p.deploy, text, got, answer)
		return
	}
	var in struct {
		ID, Nonce string
		Data      json.RawMessage
		Release   struct{ ID string }
		Meta      struct {
			NextToken string `json:"next_token"`
		}
	}
	if json.Unmarshal([]byte(answer), &in) != nil {
		return // a list
	}
	var lease struct{ Nonce string }
	_ = json.Unmarshal(in.Data, &lease) // only leases have one
	switch parts := strings.Split(strings.Trim(path, "/"), "/"); {
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "machines":
		p.learn("MACHINE_", in.ID)
		p.fits("machine", answer)
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "volumes":
		p.learn("vol_", in.ID)
		p.fits("volume", answer)
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "ip_assignments":
		p.fits("ip", answer)
	case method == http.MethodGet && len(parts) == 5 && parts[3] == "machines":
		p.fits("machine", answer)
	}
	if in.Meta.NextToken != "" {
		p.ids["next_token=t1"] = "next_token=" + in.Meta.NextToken
	}
	p.learn("NONCE_", in.Nonce)
	p.learn("NONCE_", lease.Nonce)
	p.learn("RELEASE_", in.Release.ID)
	if path == "/graphql" && strings.Contains(answer, `"errors"`) && !strings.Contains(said, "WireGuardPeer{") {
		p.t.Errorf("%s: %s: %s", p.deploy, said, answer)
	}
}

// fits holds an answer's keys against those that were recorded.
func (p *replay) fits(kind, answer string) {
	p.t.Helper()
	got := decode[map[string]json.RawMessage](p.t, []byte(answer))
	for _, key := range map[string][]string{
		"machine": {"checks", "config", "created_at", "events", "host_status", "id", "image_ref", "instance_id", "name", "private_ip", "region", "state", "updated_at"},
		"volume":  {"attached_alloc_id", "attached_machine_id", "auto_backup_enabled", "block_size", "blocks", "blocks_avail", "blocks_free", "created_at", "encrypted", "fstype", "host_status", "id", "name", "region", "size_gb", "snapshot_retention", "state", "zone"},
		"ip":      {"created_at", "ip", "region", "service_name", "shared"},
	}[kind] {
		if _, there := got[key]; !there {
			p.t.Errorf("%s: a %s has no %s: %s", p.deploy, kind, key, answer)
		}
	}
}

// between is what happened between two deploys of the recording.
func (p *replay) between(text string) {
	p.t.Helper()
	what := decode[struct {
		State  string
		Volume json.RawMessage
	}](p.t, []byte(text))
	app := p.s.State().Apps[len(p.s.State().Apps)-1]
	if what.Volume != nil {
		_, made := raw(p.t, http.MethodPost, p.url+"/v1/apps/"+app.Name+"/volumes", string(what.Volume))
		p.learn("vol_", decode[struct{ ID string }](p.t, []byte(made)).ID)
		return
	}
	if what.State != "suspended" {
		p.t.Fatalf("nobody knows how to do %s", text)
	}
	for _, m := range app.Machines {
		at := p.url + "/v1/apps/" + app.Name + "/machines/" + m.ID
		raw(p.t, http.MethodPost, at+"/suspend", "")
		if status, text := raw(p.t, http.MethodGet, at+"/wait?state=suspended&timeout=10", ""); status != http.StatusOK {
			p.t.Fatalf("suspend: %d %s", status, text)
		}
	}
}

// ended holds what there is now against what there was after the recording.
func (p *replay) ended(text string) {
	p.t.Helper()
	type end struct {
		App                    string
		Groups                 map[string]int
		Volumes, IPs, Releases int
	}
	want := decode[end](p.t, []byte(text))
	for _, a := range p.s.State().Apps {
		if a.Name != want.App {
			continue
		}
		got := end{
			App: a.Name, Groups: map[string]int{}, Volumes: len(decode[[]any](p.t, a.Volumes)),
			IPs: len(decode[[]any](p.t, a.IPs)), Releases: len(decode[[]any](p.t, a.Releases)),
		}
		for _, m := range a.Machines {
			if m.State != "destroyed" {
				got.Groups[m.Metadata["fly_process_group"]]++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			p.t.Errorf("%s: in the end %+v, want %+v", p.deploy, got, want)
		}
	}
}

// TestRecordedFlyctlIsAnswered replays every request of every recorded deploy of the real flyctl:
// each gets the status that it got, an answer of the same keys, and the same things are there in the end.
func TestRecordedFlyctlIsAnswered(t *testing.T) {
	text, err := os.ReadFile("testdata/flyctl-sequences.txt")
	need(t, err)
	bodies, err := os.ReadFile("testdata/flyctl-bodies.json")
	need(t, err)
	files := map[string]json.RawMessage{}
	for _, b := range decode[[]struct {
		Name string
		Body json.RawMessage
	}](t, bodies) {
		files[b.Name] = b.Body
	}
	s, url := start(t, flysim.Options{Nearest: "iad"})
	var p *replay
	sent := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "# "):
			deploy := strings.ReplaceAll(line[2:], " ", "/")
			if strings.HasSuffix(deploy, "deploy1") {
				p = &replay{t: t, s: s, url: url, bodies: files, ids: map[string]string{}, counts: map[string]int{}}
				raw(t, http.MethodPost, url+"/v1/apps", `{"name":"app`+deploy[:2]+`","org_slug":"personal"}`)
			}
			p.deploy, p.files = deploy, 0
		case strings.HasPrefix(line, "! "):
			p.between(line[2:])
		case strings.HasPrefix(line, "= "):
			p.ended(line[2:])
		default:
			p.line(line)
			sent++
		}
	}
	if sent < 800 {
		t.Errorf("only %d requests were replayed", sent)
	}
}
