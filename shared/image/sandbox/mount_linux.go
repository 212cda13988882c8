package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// show makes one of the machine's files or folders readable, or copies its link; what is not there is left out.
func (r *root) show(path string) error {
	if slices.ContainsFunc(r.shown, func(s string) bool { return within(path, s) }) {
		return nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode()&os.ModeSymlink == 0 || strings.HasPrefix(path, "/etc/") {
		r.shown = append(r.shown, path)
		return r.bind(path, path, unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID)
	}
	target, err := os.Readlink(path)
	if err != nil {
		return fmt.Errorf("read link: %w", err)
	}
	if err := r.link(target, path); err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return r.show(target)
}

// bind shows source at path, with these flags.
func (r *root) bind(source, path string, flags uintptr) error {
	info, err := os.Stat(source)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a link to nothing
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", source, err)
	}
	target := r.path(path)
	if info.IsDir() {
		err = r.folder(path)
	} else if err = r.folder(filepath.Dir(path)); err == nil {
		err = touch(target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	return remount(target, flags)
}

// touch makes an empty file to mount over, where there is none.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600) //nolint:gosec // in the root that is made
	if err != nil {
		return fmt.Errorf("make mount point: %w", err)
	}
	return f.Close() //nolint:wrapcheck // nothing was written
}

func readOnly(path string, flags uintptr) error { return remount(path, flags|unix.MS_RDONLY) }

func remount(path string, flags uintptr) error {
	if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
		return fmt.Errorf("restrict %s: %w", path, err)
	}
	return nil
}

func (r *root) mount(kind, at string, flags uintptr, data string) error {
	if err := r.folder(at); err != nil {
		return err
	}
	if err := unix.Mount(kind, r.path(at), kind, flags, data); err != nil {
		return fmt.Errorf("mount %s at /%s: %w", kind, at, err)
	}
	return nil
}

func (r *root) path(parts ...string) string {
	return filepath.Join(append([]string{r.at}, parts...)...)
}

func (r *root) folder(path string) error {
	if err := os.MkdirAll(r.path(path), 0o755); err != nil { //nolint:gosec // folders of a root
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

func (r *root) link(target, path string) error {
	if err := r.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Symlink(target, r.path(path)); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make link: %w", err)
	}
	return nil
}
