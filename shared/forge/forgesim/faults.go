package forgesim

import (
	"github.com/gigurra/flycd/shared/fault"
)

// Fault makes requests or deliveries go wrong.
type Fault = fault.Fault

// Match says which.
type Match = fault.Match

// Effect says what happens to them.
type Effect = fault.Effect

// ParseFaults reads the JSON list of PUT /_sim/faults. Unknown keys and values without meaning are errors that name them.
func ParseFaults(text []byte) ([]Fault, error) { return fault.Parse(text) }

// SetFaults replaces the list of faults; an empty one ends them.
func (s *Server) SetFaults(list ...Fault) error { return s.faults.Set(list...) }

// unsaid is the body of a fault's status that has none.
func unsaid(text string) any { return obj{"message": text} }
