//go:build !linux

package imagetest

import "syscall"

func withParent() *syscall.SysProcAttr { return nil }
