//go:build unix

package flysim

import (
	"os/exec"
	"syscall"
)

const (
	stopSignal  = syscall.SIGSTOP
	contSignal  = syscall.SIGCONT
	userSignal1 = syscall.SIGUSR1
	userSignal2 = syscall.SIGUSR2
)

// ownGroup gives the command a process group, so that what it starts ends with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends a signal to the command and everything in its group.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, sig) }

// deathOf is the signal that ended the command, 0 if it exited.
func deathOf(cmd *exec.Cmd) int {
	if ws, is := cmd.ProcessState.Sys().(syscall.WaitStatus); is && ws.Signaled() {
		return int(ws.Signal())
	}
	return 0
}
