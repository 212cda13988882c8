package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/google/nftables"
)

// sweep removes what sandboxes left behind whose process was killed. Their processes are gone already.
func sweep(trees []hierarchy) error {
	links, err := listLinks()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	var errs []error
	for _, l := range links {
		if name := l.Attrs().Name; abandoned(name) {
			errs = append(errs, removeLink(name))
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("%w: open netfilter: %w", ErrUnavailable, err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("%w: list nftables tables (the kernel needs nf_tables): %w", ErrUnavailable, err)
	}
	for _, t := range tables {
		if abandoned(t.Name) {
			errs = append(errs, removeTable(t.Name))
		}
	}
	for _, h := range trees {
		left, err := filepath.Glob(filepath.Join(h.Mount, prefix+"*"))
		errs = append(errs, err)
		for _, dir := range left {
			if abandoned(filepath.Base(dir)) {
				errs = append(errs, removeGroup(dir, 20))
			}
		}
	}
	return errors.Join(errs...)
}

// others tells whether another sandbox has a link on this machine.
func others(than string) (bool, error) {
	links, err := listLinks()
	if err != nil {
		return false, fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		name := l.Attrs().Name
		if pid, ok := owner(name); ok && name != than && lives(pid) {
			return true, nil
		}
	}
	return false, nil
}
