package sandbox

import "net/netip"

// order is what a sandbox's init is told to do, on its third file descriptor.
type order struct {
	Dir, Path string
	Args, Env []string
	Limits    Limits
	Trees     []hierarchy
	Resolver  netip.Addr
}

// report is what the init answers on its fourth: the program runs, or why not.
type report struct {
	Error string
	// Unavailable tells that the machine is to blame, not the order.
	Unavailable bool
}
