package launch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	text   string
	// setting is where the token is from.
	setting string
	// after is what Retry-After asks for, zero where it asks nothing.
	after time.Duration
}

func (l *Launcher) refused(resp *http.Response, body []byte, a ask) refusal {
	f := refusal{status: resp.StatusCode, setting: "FLY_API_TOKEN"}
	if a.mint {
		f.setting = "FLYCD_MINT_TOKEN"
	}
	var said struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &said)
	f.text = strings.TrimSpace(said.Error + " " + said.Message)
	if f.text == "" {
		f.text = http.StatusText(f.status)
	}
	f.text = strings.ToValidUTF8(f.text[:min(len(f.text), 500)], "")
	retry := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(retry); err == nil && s > 0 {
		f.after = min(time.Duration(s)*time.Second, time.Hour)
	} else if at, err := http.ParseTime(retry); err == nil {
		f.after = max(at.Sub(l.now()), 0)
	}
	return f
}

// Error says what Fly said and, where it is known, what to do.
func (f refusal) Error() string {
	s := fmt.Sprintf("Fly answered %d: %s", f.status, f.text)
	switch f.status {
	case http.StatusUnauthorized:
		s += "; " + f.setting + " is not valid (any more)"
	case http.StatusForbidden:
		s += "; " + f.setting + " may not do this, or the app belongs to somebody else"
	case http.StatusNotFound:
		s += "; does the app exist, and is " + f.setting + " of its organisation?"
	}
	return s
}

// final reports whether asking again within moments cannot help.
func (f refusal) final() bool {
	switch f.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	case http.StatusUnprocessableEntity:
		return !f.conflict()
	default:
		return f.status < http.StatusBadRequest
	}
}

// conflict reports whether the name is taken. Fly says 409; a 422 is one where its text says so.
func (f refusal) conflict() bool {
	taken := strings.Contains(f.text, "already exists") || strings.Contains(f.text, "already been taken") || strings.Contains(f.text, "already in use")
	return f.status == http.StatusConflict || f.status == http.StatusUnprocessableEntity && taken
}

// nothingMade reports whether a creation that was answered so made nothing for certain.
func (f refusal) nothingMade() bool {
	return f.status >= 400 && f.status < 500 && f.status != http.StatusRequestTimeout && !f.conflict()
}

// machineIDs are the words of the answer that look like a machine's id.
func (f refusal) machineIDs() []string { return machineID.FindAllString(f.text, 3) }

var machineID = regexp.MustCompile(`\b[0-9a-f]{14}\b`)
