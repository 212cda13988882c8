package sandbox

import (
	"errors"
	"io"
	"net/netip"
)

// Spec says what runs in a sandbox, and what it may use.
type Spec struct {
	// Dir is the sandbox's own folder, made and removed by the caller. It is the only folder of the disk that
	// the program may write, under the same path inside as outside.
	Dir string
	// Path is the program, absolute. Its folder can be read inside, as can the folders of Env's PATH.
	Path string
	// Args are the program's arguments, without its name.
	Args []string
	// Env is the whole environment that the program gets.
	Env []string
	// Log takes what the program writes to its standard output and error; nil discards it. The sandbox has ended
	// only when Log has taken everything, so it must not block.
	Log io.Writer
	// Limits bound what the sandbox uses.
	Limits Limits
	// Allow lists private addresses and ports (TCP) that may be reached all the same: a registry in the private
	// network, or one on the machine's own loopback, which is then found at the same address inside.
	Allow []netip.AddrPort
	// Nameservers are asked by the sandbox's DNS relay; empty means those of the machine's /etc/resolv.conf.
	Nameservers []netip.AddrPort
}

// Limits bound what a sandbox uses; zero of any is a share of the machine.
type Limits struct {
	// Memory is the most bytes that everything inside may hold; zero is three quarters of the machine's.
	Memory int64
	// Disk is the most bytes that Dir may hold; zero is what is free at the start, but for the reserve that is
	// always left to the machine.
	Disk int64
	// Pids is the most processes and threads that foreign code may have at once; zero is 4096.
	Pids int64
}

var (
	// ErrUnavailable comes from Start when the machine cannot hold a sandbox; the sentence says what is missing
	// and what to do. Nothing was started.
	ErrUnavailable = errors.New("this machine cannot run a sandbox")
	// ErrMemory comes from Err when something inside was killed because the memory limit was reached.
	ErrMemory = errors.New("out of memory")
	// ErrDisk comes from Err when the sandbox was ended because its disk limit was reached.
	ErrDisk = errors.New("out of disk")
	// ErrDied comes from Err when the program ended and nobody had asked it to.
	ErrDied = errors.New("the sandboxed program died")
)
