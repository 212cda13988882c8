package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// oom tells whether the kernel killed something in a sandbox because its memory limit was reached.
type oom struct {
	// events are version 1's: eventfds that become readable.
	events []int
	// file is version 2's memory.events.
	file string
}

// watchMemory must come when the groups exist.
func watchMemory(g cgroup) (oom, error) {
	var o oom
	for _, h := range g.trees {
		top := h.top(g.name)
		if h.offers("memory") {
			o.file = filepath.Join(top, "memory.events")
		}
		if !h.has("memory") {
			continue
		}
		for _, dir := range []string{top, filepath.Join(top, innerGroup, buildGroup)} {
			event, err := oomEvent(dir)
			if err != nil {
				return o, errors.Join(fmt.Errorf("%w: watch memory: %w", ErrUnavailable, err), o.close())
			}
			o.events = append(o.events, event)
		}
	}
	return o, nil
}

// oomEvent asks version 1 to tell when a group is out of memory.
func oomEvent(dir string) (int, error) {
	control, err := os.Open(filepath.Join(dir, "memory.oom_control")) //nolint:gosec // a cgroup of ours
	if err != nil {
		return 0, err //nolint:wrapcheck // the path is in it
	}
	defer control.Close() //nolint:errcheck // read only
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return 0, fmt.Errorf("make eventfd: %w", err)
	}
	line := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := os.WriteFile(filepath.Join(dir, "cgroup.event_control"), []byte(line), 0o600); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// happened looks now; it must not be asked once the groups are gone, which version 1 tells as an event too.
func (o oom) happened() bool {
	for _, fd := range o.events {
		var count [8]byte
		if n, err := unix.Read(fd, count[:]); err == nil && n == 8 && binary.NativeEndian.Uint64(count[:]) > 0 {
			return true
		}
	}
	if o.file == "" {
		return false
	}
	text, err := os.ReadFile(o.file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			count, _ := strconv.Atoi(strings.TrimSpace(n))
			return count > 0
		}
	}
	return false
}

func (o oom) close() error {
	var errs []error
	for _, fd := range o.events {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// disk watches what a sandbox writes. Asking the file system how much is free costs nothing and is done often; when
// that says that the limit may be reached everything is counted, so another process's files are not taken for the
// sandbox's. It is counted now and then besides, for what others free hides what the sandbox writes.
type disk struct {
	dir            string
	limit, reserve int64
	// base is what was free when everything was counted, and counted is what that gave.
	base, counted int64
	// again is when to count in any case.
	again time.Time
}

// watchDisk starts to watch dir. A limit of zero becomes what is free, but for the reserve.
func watchDisk(dir string, limit int64) (*disk, error) {
	free, size, err := space(dir)
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, limit: limit, reserve: reserveOf(size), base: free}
	if err := d.count(free); err != nil {
		return nil, err
	}
	if free <= d.reserve {
		return nil, fmt.Errorf("%w: only %s are free on the disk of %s, and %s are always left to the machine; give it a larger disk",
			ErrUnavailable, human(free), dir, human(d.reserve))
	}
	if crowded(dir) {
		return nil, fmt.Errorf("%w: the disk of %s has room for few more files, however small; remove some", ErrUnavailable, dir)
	}
	if d.limit == 0 {
		d.limit = free - d.reserve
	}
	return d, nil
}

// reserveOf is what is left to the machine whatever happens: a sixteenth, 512 MB at most.
func reserveOf(size int64) int64 { return min(size/16, 512<<20) }

// full looks now and gives the sentence that says what is full, or nil.
func (d *disk) full() error {
	free, _, err := space(d.dir)
	if err != nil {
		return nil //nolint:nilerr // it is looked at again at once
	}
	if free < d.reserve {
		return fmt.Errorf("%w: the build filled the disk to the last %s, which are kept for the machine; "+
			"build with less, or give the runner a larger disk", ErrDisk, human(d.reserve))
	}
	if crowded(d.dir) {
		return fmt.Errorf("%w: the build made so many files that the disk has room for few more, however small; "+
			"build with fewer, or give the runner a larger disk", ErrDisk)
	}
	if d.counted+d.base-free <= d.limit && time.Now().Before(d.again) {
		return nil
	}
	if err := d.count(free); err != nil || d.counted <= d.limit {
		return nil //nolint:nilerr // a folder that changes meanwhile; the next look counts again
	}
	return fmt.Errorf("%w: the build wrote more than its limit of %s; build with less, or raise FLYCD_BUILD_DISK", ErrDisk, human(d.limit))
}

// count counts what dir holds while so much is free, and takes a twentieth of the time for it at most.
func (d *disk) count(free int64) error {
	begin := time.Now()
	used, err := usage(d.dir)
	if err != nil {
		return err
	}
	d.counted, d.base = used, free
	d.again = time.Now().Add(max(2*time.Second, 20*time.Since(begin)))
	return nil
}

// crowded tells whether the disk of dir is about to run out of inodes, which many empty files use up. Not every file system
// has a number of them.
func crowded(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && s.Files > 0 && s.Ffree < s.Files/32
}

// space tells what is free on the disk of dir for root and how large it is, in bytes.
func space(dir string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil //nolint:gosec // sizes of disks
}

// usage counts what the files in dir hold, each once however many names it has.
func usage(dir string) (int64, error) {
	var sum int64
	seen := map[uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || stat.Nlink > 1 && seen[stat.Ino] {
			return nil
		}
		if stat.Nlink > 1 && !info.IsDir() {
			seen[stat.Ino] = true
		}
		sum += stat.Blocks * 512
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count files: %w", err)
	}
	return sum, nil
}

func human(bytes int64) string { return units.BytesSize(float64(bytes)) }

// machineMemory is what the machine has, in bytes.
func machineMemory() (int64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("ask for the machine's memory: %w", err)
	}
	return int64(info.Totalram) * int64(info.Unit), nil //nolint:gosec // sizes of memories
}

// withDefaults fills in what is zero with shares of the machine; disk is decided by who watches it.
func (l Limits) withDefaults() (Limits, error) {
	total, err := machineMemory()
	if err != nil {
		return l, err
	}
	const least = 128 << 20
	switch {
	case l.Memory == 0:
		l.Memory = max(total/4*3, least)
	case l.Memory < least:
		return l, fmt.Errorf("memory of a sandbox is %s: give it at least %s (FLYCD_BUILD_MEMORY)", human(l.Memory), human(least))
	}
	if l.Pids == 0 {
		l.Pids = 4096
	}
	if slices.Min([]int64{l.Disk, l.Pids}) < 0 {
		return l, errors.New("limits of a sandbox are negative: give sizes, or zero for a share of the machine")
	}
	return l, nil
}
