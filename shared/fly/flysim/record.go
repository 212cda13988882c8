package flysim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gigurra/flycd/shared/fault"
)

// recorder writes what came in: sequence.txt has a line for every request, and bodies that say what
// should be are files of their own, NN-create.GROUP.json and so on. Ids and nonces are numbered in
// the order in which they appear, so that two recordings of one deploy are equal. Values of secrets
// are left out.
type recorder struct {
	dir string

	mu     sync.Mutex
	err    error
	n      int
	alias  map[string]string
	counts map[string]int
	pairs  []string
}

func newRecorder(dir string) *recorder {
	return &recorder{dir: dir, alias: map[string]string{}, counts: map[string]int{}}
}

// know gives an id its number.
func (rec *recorder) know(prefix, id string) {
	if id == "" || rec.alias[id] != "" {
		return
	}
	rec.counts[prefix]++
	rec.alias[id] = fmt.Sprintf("%s%d", prefix, rec.counts[prefix])
	rec.pairs = append(rec.pairs, id, rec.alias[id])
}

// note records one request. Errors are kept for Close.
func (rec *recorder) note(r *http.Request, body []byte, out *fault.Held, dropped bool) {
	if rec.dir == "" {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	rec.learn(r.Method, parts, out)
	line := fmt.Sprintf("%-6s %s", r.Method, r.URL.RequestURI())
	if nonce := r.Header.Get(nonceHeader); nonce != "" {
		rec.know("NONCE_", nonce)
		line += " [nonce " + nonce + "]"
	}
	if dropped {
		line += " -> dropped"
	} else {
		line += fmt.Sprintf(" -> %d", out.Status)
	}
	if short := summary(parts, body); short != "" {
		line += " " + short
	}
	rec.keep(r.Method, parts, body)
	rec.append(strings.NewReplacer(rec.pairs...).Replace(line) + "\n")
}

// learn finds ids in answers, and in paths where an answer was lost.
func (rec *recorder) learn(method string, parts []string, out *fault.Held) {
	var in struct {
		ID    string `json:"id"`
		Nonce string `json:"nonce"`
		Data  struct {
			Nonce string `json:"nonce"`
		} `json:"data"`
		Release struct {
			ID string `json:"id"`
		} `json:"release"`
	}
	_ = json.Unmarshal(out.Body.Bytes(), &in) // not every answer is an object
	kind := ""
	if len(parts) > 3 {
		kind = parts[3]
	}
	if len(parts) > 4 && kind == "machines" {
		rec.know("MACHINE_", parts[4])
	}
	switch {
	case method != http.MethodPost || out.Status >= 300:
	case len(parts) == 4 && kind == "machines":
		rec.know("MACHINE_", in.ID)
	case len(parts) == 4 && kind == "volumes":
		rec.know("vol_", in.ID)
	}
	rec.know("NONCE_", cmp.Or(in.Nonce, in.Data.Nonce))
	rec.know("RELEASE_", in.Release.ID)
}

// summary is a body in one line, without what has a file of its own and without secrets.
func summary(parts []string, body []byte) string {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil || len(in) == 0 {
		return ""
	}
	for _, key := range []string{"config", "definition"} {
		if in[key] != nil {
			in[key] = "…"
		}
	}
	if query, is := in["query"].(string); is && parts[0] == "graphql" {
		if strings.Contains(query, "setSecrets") {
			in["variables"] = "…"
		}
		return outline(query) + " vars=" + oneLine(in["variables"])
	}
	if secretPath(parts) {
		for _, key := range []string{"values", "value", "private_key", "plaintext"} {
			if in[key] != nil {
				in[key] = "…"
			}
		}
	}
	return oneLine(in)
}

// oneLine is JSON with a space after each comma and colon, in ASCII where it says "left out".
func oneLine(v any) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(v) // came from JSON
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " ")
		if strings.HasSuffix(lines[i], ",") {
			lines[i] += " "
		}
	}
	return strings.ReplaceAll(strings.Join(lines, ""), "…", `\u2026`)
}

// outline is a GraphQL query without arguments, two levels deep.
func outline(query string) string {
	var out strings.Builder
	braces, parens := 0, 0
	for _, r := range query {
		switch r {
		case '(':
			parens++
		case ')':
			parens--
			continue
		case '{':
			braces++
			if braces == 1 {
				r = ' '
			}
		case '}':
			braces--
			if braces != 1 {
				continue
			}
		}
		if parens == 0 && braces < 3 {
			out.WriteRune(r)
		}
	}
	return strings.NewReplacer("{ ", "{", " }", "}").Replace(
		strings.ReplaceAll(strings.Join(strings.Fields(out.String()), " "), " {", "{"))
}

func secretPath(parts []string) bool {
	return len(parts) > 3 && (parts[3] == "secrets" || parts[3] == "secretkeys" || parts[3] == "certificates")
}

// keep writes the bodies that say what should be.
func (rec *recorder) keep(method string, parts []string, body []byte) {
	var name string
	switch {
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "machines":
		name = "create." + groupOf(body)
	case method == http.MethodPost && len(parts) == 5 && parts[3] == "machines":
		name = "update." + groupOf(body) + "." + parts[4]
	case method == http.MethodDelete && len(parts) == 5 && parts[3] == "machines":
		name = "destroy." + parts[4]
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "volumes":
		name = "volume"
	case method == http.MethodPost && len(parts) == 4 && parts[3] == "ip_assignments":
		name = "ip"
	case method == http.MethodPost && strings.Join(parts, "/") == "api/v1/releases":
		name = "release"
	default:
		return
	}
	rec.n++
	change := strings.NewReplacer(rec.pairs...)
	file := filepath.Base(fmt.Sprintf("%02d-%s.json", rec.n, change.Replace(name)))
	rec.fail(os.MkdirAll(rec.dir, 0o750))
	rec.fail(os.WriteFile(filepath.Join(rec.dir, file), []byte(change.Replace(pretty(body))+"\n"), 0o600))
}

// pretty is a body with its keys in order, a line each.
func pretty(body []byte) string {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(body)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // came from JSON
	return strings.TrimSpace(out.String())
}

// groupOf is the process group of a body's machine; a name that could leave the folder is none.
func groupOf(body []byte) string {
	var in struct {
		Config struct {
			Metadata map[string]any `json:"metadata"`
		} `json:"config"`
	}
	_ = json.Unmarshal(body, &in) // a body that cannot be read has no group
	group, _ := in.Config.Metadata["fly_process_group"].(string)
	if group == "" || !machineNameOK(group) {
		return "app"
	}
	return group
}

func (rec *recorder) append(text string) {
	rec.fail(os.MkdirAll(rec.dir, 0o750))
	f, err := os.OpenFile(filepath.Join(rec.dir, "sequence.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		rec.fail(err)
		return
	}
	_, err = f.WriteString(text)
	rec.fail(err)
	rec.fail(f.Close())
}

func (rec *recorder) fail(err error) {
	if rec.err == nil && err != nil {
		rec.err = fmt.Errorf("record: %w", err)
	}
}

// final writes how everything stood in the end.
func (rec *recorder) final(state func() State) {
	if rec.dir == "" {
		return
	}
	text, err := json.MarshalIndent(state(), "", " ")
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fail(err)
	rec.fail(os.MkdirAll(rec.dir, 0o750))
	rec.fail(os.WriteFile(filepath.Join(rec.dir, "final-state.json"), []byte(strings.NewReplacer(rec.pairs...).Replace(string(text))+"\n"), 0o600))
}

// failure is the first thing that could not be written.
func (rec *recorder) failure() error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.err
}
