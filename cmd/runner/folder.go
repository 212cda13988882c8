package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	folderPrefix = "flycd-buildkit-"
	lockName     = "lock"
	// sweepAge spares a folder whose owner has not locked it yet.
	sweepAge = time.Minute
)

// folder is where builds are made. It is removed by its owner, or, when that was killed, by the next one: the lock
// in it is held for as long as its owner lives.
type folder struct {
	dir  string
	lock *os.File
}

// newFolder makes one, and removes what killed runners left on this machine.
func newFolder() (*folder, error) {
	sweepFolders(os.TempDir(), time.Now())
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return nil, fmt.Errorf("make folder for builds: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600) //nolint:gosec // in a folder of ours
	if err == nil {
		err = hold(lock)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock folder for builds: %w", err), os.RemoveAll(dir))
	}
	return &folder{dir, lock}, nil
}

func (f *folder) close() error { return errors.Join(os.RemoveAll(f.dir), f.lock.Close()) }

func hold(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// sweepFolders removes folders whose owner is gone, as well as it can: the next one tries again.
func sweepFolders(in string, now time.Time) {
	locks, err := filepath.Glob(filepath.Join(in, folderPrefix+"*", lockName))
	if err != nil {
		return
	}
	for _, name := range locks {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < sweepAge {
			continue
		}
		lock, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // a name that Glob gave
		if err != nil {
			continue
		}
		if hold(lock) == nil {
			_ = os.RemoveAll(filepath.Dir(name))
		}
		_ = lock.Close()
	}
}
