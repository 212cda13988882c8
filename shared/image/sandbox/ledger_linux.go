package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ledgerPath is where the sandboxes of one machine agree on what they have changed of it.
const ledgerPath = "/run/flycd/sandbox.lock"

// ledger is held, by one process at a time, while links, tables and cgroups are made and removed. It lives in a
// file, so that the last sandbox of several processes gives back what the first one changed.
type ledger struct {
	file *os.File
	// Forwarding lists the interfaces that were made to forward and did not before.
	Forwarding []string
}

// openLedger waits for the ledger until ctx ends.
func openLedger(ctx context.Context) (*ledger, error) {
	if err := os.MkdirAll(filepath.Dir(ledgerPath), 0o700); err != nil {
		return nil, fmt.Errorf("make folder of ledger: %w", err)
	}
	f, err := os.OpenFile(ledgerPath, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	for unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for ledger: %w", context.Cause(ctx)), f.Close())
		case <-time.After(5 * time.Millisecond):
		}
	}
	l := &ledger{file: f}
	// what cannot be read was cut by a crash: then nobody knows what was changed, and nothing is given back
	_ = json.NewDecoder(f).Decode(l)
	l.Forwarding = slices.DeleteFunc(l.Forwarding, func(link string) bool {
		_, err := os.Stat(forwardFile(link))
		return errors.Is(err, os.ErrNotExist)
	})
	return l, nil
}

// noteForwarding records, before it is done, that an interface is made to forward.
func (l *ledger) noteForwarding(link string) error {
	if slices.Contains(l.Forwarding, link) {
		return nil
	}
	l.Forwarding = append(l.Forwarding, link)
	return l.write()
}

func (l *ledger) write() error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode ledger: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("empty ledger: %w", err)
	}
	if _, err := l.file.WriteAt(text, 0); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// close lets the next one have it.
func (l *ledger) close() { _ = l.file.Close() }
