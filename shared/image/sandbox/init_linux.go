package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// initName is how a process knows that it is a sandbox's init.
const initName = "flycd-sandbox-init"

// order is what the init is told to do; report is what it says of it.
type order struct {
	Dir, Path string
	Args, Env []string
}

type report struct{ Error string }

// Main must be called first by main, and by the TestMain of tests that start sandboxes: where this process was
// started as the init of a sandbox, it never returns.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != initName {
		return
	}
	os.Exit(initMain()) //nolint:forbidigo // this is the main of another process
}

func initMain() int {
	control, status := os.NewFile(3, "control"), os.NewFile(4, "status")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	var o order
	if err := json.NewDecoder(control).Decode(&o); err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, control)
		os.Exit(1) //nolint:forbidigo // the runner is gone: with this process everything inside ends
	}()
	if err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""),
	); err != nil {
		_ = json.NewEncoder(status).Encode(report{Error: err.Error()})
		return 1
	}
	cmd := &exec.Cmd{Path: o.Path, Args: append([]string{o.Path}, o.Args...), Env: o.Env, Dir: o.Dir, Stdout: os.Stdout, Stderr: os.Stderr}
	if err := cmd.Start(); err != nil {
		_ = json.NewEncoder(status).Encode(report{Error: err.Error()})
		return 1
	}
	_ = json.NewEncoder(status).Encode(report{})
	status.Close()
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}
