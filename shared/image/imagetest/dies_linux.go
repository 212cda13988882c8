package imagetest

import "syscall"

// withParent lets a child die with the thread that starts it.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
