package main

import (
	"errors"

	"github.com/gigurra/flycd/shared/job"
)

// The exit codes are public: scripts branch on them.
const (
	exitOK      = 0  // created, updated, unchanged, superseded, nothing to do
	exitFailed  = 1  // failed, cancelled, a build that failed
	exitUsage   = 2  // wrong usage or bad input: manifest, flags
	exitRefused = 3  // token, policy, lease, somebody else's name
	exitChanges = 10 // plan or drift with --exit-code, or adopt, found changes
)

// exitError carries the code that an error ends the process with. An empty text prints nothing: the
// command has already said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usage marks err as the caller's mistake.
func usage(err error) error { return exitError{exitUsage, err} }

// exitCode gives the code for err. What no attempt can help is bad input unless something said
// otherwise.
func exitCode(err error) int {
	var coded exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, job.ErrRejected):
		return exitUsage
	default:
		return exitFailed
	}
}
