package sandbox

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// freely lets a socket have an address that the machine has not got yet.
func freely(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1) }); err != nil {
		return fmt.Errorf("reach socket: %w", err)
	}
	return failed
}
