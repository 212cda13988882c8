package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Fault makes requests go wrong.
type Fault struct {
	Match Match  `json:"match"`
	Do    Effect `json:"do"`
}

// Hook is the method of what a simulator sends by itself: only a fault that names it hits.
const Hook = "HOOK"

// Match says what a fault is for. Empty fields match everything, but only the method HOOK matches deliveries.
type Match struct {
	// Method is the HTTP method, or HOOK for deliveries of webhooks.
	Method string `json:"method,omitempty"`
	// Path is the URL's path, with or without its query; * stands for any characters. Of a delivery it is
	// /OWNER/NAME/EVENT.
	Path string `json:"path,omitempty"`
	// Body is what the request's body contains: one GraphQL query among many, or one machine's name.
	Body string `json:"body,omitempty"`
	// Nth counts matching requests from 1: the fault begins with this one. 0 is 1.
	Nth int `json:"nth,omitempty"`
	// Probability is the chance of each matching request to be hit, from the simulator's seed; 0 hits always.
	Probability float64 `json:"probability,omitempty"`
}

// Effect says what happens to a request that is hit.
type Effect struct {
	// Status and Body answer instead of the API. A Body that is a JSON string is sent as it is; a status without
	// a body gets the simulator's usual words.
	Status int             `json:"status,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	// Header goes with Status: Retry-After, X-RateLimit-Remaining and others.
	Header map[string]string `json:"header,omitempty"`
	// After lets the request take effect before its answer is replaced or delayed.
	After bool `json:"after,omitempty"`
	// DelayMS waits, in real milliseconds, before the effect of the request, or after it with After.
	DelayMS int `json:"delay_ms,omitempty"`
	// Drop cuts the connection, before or after the effect of the request.
	Drop string `json:"drop,omitempty"`
	// Repeat is how many requests are hit: 0 is one, or all of them with a probability; -1 is all.
	Repeat int `json:"repeat,omitempty"`
}

// Parse reads the JSON list of PUT /_sim/faults. Unknown keys and values without meaning are errors that name them.
func Parse(text []byte) ([]Fault, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var list []Fault
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("read faults: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read faults: there is something after the list")
	}
	for i, f := range list {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i, err)
		}
	}
	return list, nil
}

func (f Fault) check() error {
	switch do := f.Do; {
	case do.Status != 0 && (do.Status < 200 || do.Status > 599):
		return fmt.Errorf("status %d is not a status from 200 to 599", do.Status)
	case do.Drop != "" && do.Drop != "before" && do.Drop != "after":
		return fmt.Errorf("drop %q must be before or after", do.Drop)
	case do.Drop != "" && do.Status != 0:
		return errors.New("drop and status exclude each other")
	case (len(do.Body) > 0 || len(do.Header) > 0) && do.Status == 0:
		return errors.New("a body or header needs a status")
	case do.DelayMS < 0 || do.DelayMS > 600_000:
		return fmt.Errorf("delay_ms %d must be between 0 and 600000", do.DelayMS)
	case do.Status == 0 && do.Drop == "" && do.DelayMS == 0:
		return errors.New("it does nothing: give it a status, a delay_ms or a drop")
	case f.Match.Probability < 0 || f.Match.Probability > 1:
		return fmt.Errorf("probability %v must be between 0 and 1", f.Match.Probability)
	case f.Match.Nth < 0:
		return fmt.Errorf("nth %d must not be negative", f.Match.Nth)
	case do.Repeat < -1:
		return fmt.Errorf("repeat %d must be -1 or more", do.Repeat)
	}
	return nil
}

// Glob compares with a pattern in which * stands for any characters.
func Glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, last)
}
