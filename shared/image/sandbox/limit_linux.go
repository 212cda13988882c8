package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// limit moves the init into the group of the program and makes the group of foreign code, which has limits of its
// own below the sandbox's: so a step that takes too much is ended, and the program is not.
func (o order) limit() error {
	for _, t := range o.Trees {
		h := t.inside(o.Trees)
		if err := o.limitIn(h); err != nil {
			return fmt.Errorf("%w: set limits in %s: %w", ErrUnavailable, h.Mount, err)
		}
	}
	return nil
}

func (o order) limitIn(h hierarchy) error {
	program, build := filepath.Join(h.Mount, programGroup), filepath.Join(h.Mount, buildGroup)
	if err := makeGroup(h, program); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(program, "cgroup.procs"), []byte("0"), 0o600); err != nil {
		return err //nolint:wrapcheck // the path is in it
	}
	// version 2 passes controllers on only from a group without processes
	if err := h.delegate(h.Mount); err != nil {
		return err
	}
	if err := makeGroup(h, build); err != nil {
		return err
	}
	for _, s := range o.Limits.inner(h) {
		if err := s.write(build); err != nil {
			return err
		}
	}
	return nil
}
