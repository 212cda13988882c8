package machine

import (
	"encoding/json"
	"fmt"

	flygo "github.com/superfly/fly-go"
)

// Plain gives a config's JSON form for people and for comparisons: without the nulls that fly-go
// always writes.
func Plain(config *flygo.MachineConfig) (map[string]any, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write machine config: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read machine config: %w", err)
	}
	dropNulls(out)
	return out, nil
}

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			dropNulls(value)
		}
	case []any:
		for _, value := range v {
			dropNulls(value)
		}
	}
}
