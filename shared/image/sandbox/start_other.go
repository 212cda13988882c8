//go:build !linux

package sandbox

import (
	"context"
	"fmt"
	"net/netip"
)

// Main does nothing: there are no sandboxes here.
func Main() {}

// Sandbox cannot be had here.
type Sandbox struct{}

// Start always returns ErrUnavailable.
func Start(context.Context, Spec) (*Sandbox, error) {
	return nil, fmt.Errorf("%w: it needs Linux", ErrUnavailable)
}

// CgroupParent is empty.
func (*Sandbox) CgroupParent() string { return "" }

// Resolver is no address.
func (*Sandbox) Resolver() netip.Addr { return netip.Addr{} }

// Done is never closed.
func (*Sandbox) Done() <-chan struct{} { return nil }

// Err is nil.
func (*Sandbox) Err() error { return nil }

// Close does nothing.
func (*Sandbox) Close() error { return nil }
