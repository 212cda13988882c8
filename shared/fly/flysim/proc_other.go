//go:build !unix

package flysim

import (
	"os/exec"
	"syscall"
)

// These do not exist here; the numbers are Linux's, which is what the API speaks of.
const (
	stopSignal  = syscall.Signal(19)
	contSignal  = syscall.Signal(18)
	userSignal1 = syscall.Signal(10)
	userSignal2 = syscall.Signal(12)
)

func ownGroup(*exec.Cmd) {}

// signalGroup can only end a process here.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) {
	if sig != stopSignal && sig != contSignal {
		_ = cmd.Process.Kill()
	}
}

func deathOf(*exec.Cmd) int { return 0 }
