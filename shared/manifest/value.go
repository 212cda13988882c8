package manifest

import (
	"fmt"
	"log/slog"
	"time"
)

// Duration is a span of time. Its text form is Go's ("1m30s"), which is also what Fly's API takes.
type Duration time.Duration

// String gives Go's form, such as 1m30s.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText gives the form that String gives.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Secret is a value that must not be seen. It prints, logs and marshals as [secret]; only Reveal
// gives it away.
type Secret struct{ value string }

const redacted = "[secret]"

// NewSecret keeps value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal gives the value. Call it only where the value goes to Fly.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// String never gives the value.
func (s Secret) String() string { return redacted }

// GoString never gives the value.
func (s Secret) GoString() string { return redacted }

// Format never gives the value, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue never gives the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText never gives the value; JSON and YAML use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
