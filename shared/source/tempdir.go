package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tempPrefix = "flycd-tree-"
	lockSuffix = ".lock"
	// An unlocked lock file this young may belong to a process that has not locked it yet.
	sweepAge = time.Minute
)

// tempDir is a private folder that is removed by Close, by Client.Close, or, when this process dies, by
// the next one: the lock file beside it is held as long as the process lives.
type tempDir struct {
	path  string
	lock  *os.File
	owner *Client
	once  sync.Once
	err   error
}

func (c *Client) tempDir() (*tempDir, error) {
	root := or(c.Dir, os.TempDir())
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	c.sweepOnce(root)
	lock, err := os.CreateTemp(root, tempPrefix+strconv.Itoa(os.Getpid())+"-*"+lockSuffix)
	if err != nil {
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	d := &tempDir{path: strings.TrimSuffix(lock.Name(), lockSuffix), lock: lock, owner: c}
	if _, err := tryLock(lock); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock temporary folder: %w", err)
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("make temporary folder: %w", err)
	}
	c.mu.Lock()
	if c.dirs == nil {
		c.dirs = map[*tempDir]struct{}{}
	}
	c.dirs[d] = struct{}{}
	c.mu.Unlock()
	return d, nil
}

// Close removes the folder. Closing again gives the first answer.
func (d *tempDir) Close() error {
	d.once.Do(func() {
		d.err = os.RemoveAll(d.path)
		if err := os.Remove(d.lock.Name()); err != nil && d.err == nil {
			d.err = err
		}
		if err := d.lock.Close(); err != nil && d.err == nil {
			d.err = err
		}
		d.owner.mu.Lock()
		delete(d.owner.dirs, d)
		d.owner.mu.Unlock()
	})
	return d.err
}

// sweepOnce removes what dead processes left, the first time that the client needs the folder.
func (c *Client) sweepOnce(root string) {
	c.mu.Lock()
	swept := c.swept
	c.swept = true
	c.mu.Unlock()
	if !swept {
		sweep(root, c.now())
	}
}

// sweep removes the temporary folders in root whose owner is dead. It is best effort: what cannot
// be removed now is tried again by the next process.
func sweep(root string, now time.Time) {
	locks, err := filepath.Glob(filepath.Join(root, tempPrefix+"*"+lockSuffix))
	if err != nil {
		return
	}
	for _, name := range locks {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || now.Sub(info.ModTime()) < sweepAge {
			continue
		}
		sweepOne(name)
	}
}

func sweepOne(name string) {
	lock, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // a name that Glob gave
	if err != nil {
		return
	}
	defer lock.Close() //nolint:errcheck // nothing was written
	if free, err := tryLock(lock); err != nil || !free {
		return
	}
	if os.RemoveAll(strings.TrimSuffix(name, lockSuffix)) == nil {
		_ = os.Remove(name)
	}
}
