package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// newFile is a file that is about to be written.
type newFile struct {
	path    string
	content []byte
}

func compareText(a, b string) int { return strings.Compare(a, b) }

// writeAll writes all of the files or none of them. Without force it overwrites nothing.
func writeAll(files []newFile, force bool) error {
	if !force {
		for _, f := range files {
			if _, err := os.Lstat(f.path); err == nil {
				return f.isThere()
			}
		}
	}
	var undo []func() error
	for _, f := range files {
		back, err := f.write(force)
		if err != nil {
			for _, back := range undo {
				err = errors.Join(err, back())
			}
			return err
		}
		undo = append(undo, back)
	}
	return nil
}

func (f newFile) isThere() error {
	return usage(fmt.Errorf("%s is there already: --force overwrites it, --stdout prints instead", f.path))
}

// write puts the whole file in place at once, and gives what puts things back as they were.
func (f newFile) write(force bool) (undo func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil { //nolint:gosec // a manifest is for everybody who reads the repository
		return nil, fmt.Errorf("make the folder of %s: %w", f.path, err)
	}
	before, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	was := err == nil
	if was && !force {
		return nil, f.isThere()
	}
	if err := replaceFile(f.path, f.content); err != nil {
		return nil, err
	}
	return func() error {
		if was {
			return replaceFile(f.path, before)
		}
		return os.Remove(f.path)
	}, nil
}

// replaceFile writes beside the file and renames, so that nobody ever reads half of it.
func replaceFile(path string, content []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), ".flycd-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
