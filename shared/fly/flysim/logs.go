package flysim

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// keptLog is how many lines an app's log holds, pageOfLog how many an answer.
const (
	keptLog   = 5000
	pageOfLog = 100
)

// logLine is a line of an app's log. Lines outlive their machine.
type logLine struct {
	seq                   int
	at                    time.Time
	machine, region, text string
	provider              string
}

// log adds a line that a machine's program said.
func (s *Server) log(m *machine, text string) { s.addLog(m, text, "app") }

// remark adds a line that the platform says about a machine.
func (s *Server) remark(m *machine, text string) { s.addLog(m, " INFO "+text, "runner") }

func (s *Server) addLog(m *machine, text, provider string) {
	a := m.app
	a.logged++
	a.log = append(a.log, logLine{seq: a.logged, at: s.now(), machine: m.id, region: m.region, text: text, provider: provider})
	if len(a.log) > keptLog {
		a.log = slices.Clone(a.log[len(a.log)-keptLog:])
	}
}

type logView struct {
	ID         string        `json:"id"`
	Type       string        `json:"type"`
	Attributes logAttributes `json:"attributes"`
}

type logAttributes struct {
	Timestamp string  `json:"timestamp"`
	Message   string  `json:"message"`
	Level     string  `json:"level"`
	Instance  string  `json:"instance"`
	Region    string  `json:"region"`
	Meta      logMeta `json:"meta"`
}

type logMeta struct {
	Instance string   `json:"instance"`
	Region   string   `json:"region"`
	Event    logEvent `json:"event"`
}

type logEvent struct {
	Provider string `json:"provider"`
}

func (l logLine) view() logView {
	return logView{ID: strconv.Itoa(l.seq), Type: "log", Attributes: logAttributes{
		Timestamp: l.at.UTC().Format(time.RFC3339Nano), Message: l.text, Level: "info", Instance: l.machine, Region: l.region,
		Meta: logMeta{Instance: l.machine, Region: l.region, Event: logEvent{Provider: l.provider}},
	}}
}

// readLogs answers a page of the app's log: what came after next_token, or the newest lines without
// one. instance and region narrow it.
func (s *Server) readLogs(c *call) answer {
	q := c.r.URL.Query()
	after := 0
	if text := q.Get("next_token"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return failf(http.StatusBadRequest, "invalid next_token %q", text)
		}
		after = n
	}
	page := []logView{}
	for _, l := range c.app.log {
		if l.seq > after && (q.Get("instance") == "" || q.Get("instance") == l.machine) && (q.Get("region") == "" || q.Get("region") == l.region) {
			page = append(page, l.view())
		}
	}
	switch {
	case q.Get("next_token") == "" && len(page) > pageOfLog:
		page = page[len(page)-pageOfLog:]
	case len(page) > pageOfLog:
		page = page[:pageOfLog]
	}
	next := q.Get("next_token")
	if len(page) > 0 {
		next = page[len(page)-1].ID
	}
	return ok(struct {
		Data []logView `json:"data"`
		Meta struct {
			NextToken string `json:"next_token"`
		} `json:"meta"`
	}{Data: page, Meta: struct {
		NextToken string `json:"next_token"`
	}{next}})
}
