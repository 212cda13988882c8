package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// rootName and tmpName are what a sandbox keeps in Spec.Dir for itself.
const (
	rootName = ".root"
	tmpName  = ".tmp"
)

// root is a new, small tree of files on a tmpfs: of the machine's files it holds those that programs need to run,
// to be read only, and one folder to write. What is not named here is not there.
type root struct {
	at string
	order
	// shown are the machine's paths that can be read already.
	shown []string
}

// enterRoot makes the tree and moves this process into it.
func (o order) enterRoot() error {
	// what is mounted here is nobody else's to see
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w: make mounts private: %w", ErrUnavailable, err)
	}
	r := &root{at: filepath.Join(o.Dir, rootName), order: o}
	if err := os.MkdirAll(r.at, 0o700); err != nil {
		return fmt.Errorf("make root: %w", err)
	}
	if err := unix.Mount("tmpfs", r.at, "tmpfs", unix.MS_NOSUID, "mode=755,size=16m"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	for _, step := range []func() error{r.kernel, r.devices, r.scratch, r.system, r.etc, r.own, r.cgroups, r.enter} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// kernel mounts what the kernel shows: the sandbox's own processes and network.
func (r *root) kernel() error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return errors.Join(
		r.mount("proc", "proc", flags, ""),
		r.mount("sysfs", "sys", flags|unix.MS_RDONLY, ""),
	)
}

// devices are those that every container has.
func (r *root) devices() error {
	if err := r.mount("tmpfs", "dev", unix.MS_NOSUID, "mode=755,size=1m"); err != nil {
		return err
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := device(r.path("dev", name), 1, minor); err != nil {
			return err
		}
	}
	if err := device(r.path("dev/tty"), 5, 0); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, r.path("dev", name)); err != nil {
			return fmt.Errorf("make device: %w", err)
		}
	}
	return errors.Join(
		r.mount("devpts", "dev/pts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"),
		r.mount("tmpfs", "dev/shm", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m"),
	)
}

func device(path string, major, minor uint32) error {
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil { //nolint:gosec // small numbers
		return fmt.Errorf("make %s: %w", path, err)
	}
	return os.Chmod(path, 0o666) //nolint:gosec,wrapcheck // everybody's devices
}

// scratch is what may be written beside Dir, and it counts as Dir's or as memory.
func (r *root) scratch() error {
	tmp := filepath.Join(r.Dir, tmpName)
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return fmt.Errorf("make folder for temporary files: %w", err)
	}
	if err := os.Chmod(tmp, 0o1777); err != nil { //nolint:gosec // as /tmp is everywhere
		return fmt.Errorf("open folder for temporary files: %w", err)
	}
	return errors.Join(
		r.mount("tmpfs", "run", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=64m"),
		r.bind(tmp, "tmp", unix.MS_NODEV|unix.MS_NOSUID),
		r.folder("var/lib"), r.folder("root"), r.folder("mnt"),
		r.link("../run", "var/run"), r.link("../tmp", "var/tmp"),
	)
}

// system holds the machine's programs and libraries, and the folders of Env's PATH.
func (r *root) system() error {
	paths := []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}
	for _, dir := range searchPath(r.Env) {
		// not a folder that Dir is in, which is larger than a folder of programs
		if filepath.IsAbs(dir) && !within(r.Dir, dir) {
			paths = append(paths, filepath.Clean(dir))
		}
	}
	for _, p := range append(paths, r.Path) {
		if err := r.show(p); err != nil {
			return err
		}
	}
	return nil
}

// within tells whether path is dir or lies somewhere in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func searchPath(env []string) []string {
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "PATH="); ok {
			return filepath.SplitList(list)
		}
	}
	return nil
}

// etc holds what finds libraries and checks certificates, and files of our own making.
func (r *root) etc() error {
	for _, p := range []string{
		"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "ca-certificates",
		"ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust", "crypto-policies", "protocols", "services",
	} {
		if err := r.show("/etc/" + p); err != nil {
			return err
		}
	}
	//nolint:gosec // no credentials: nobody logs in
	for name, text := range map[string]string{
		"resolv.conf":   "nameserver " + r.Resolver.String() + "\noptions timeout:5 attempts:2\n",
		"hosts":         "127.0.0.1 localhost build\n",
		"nsswitch.conf": "hosts: files dns\n",
		"passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"group":         "root:x:0:\nnogroup:x:65534:\n",
	} {
		if err := os.WriteFile(r.path("etc", name), []byte(text), 0o644); err != nil { //nolint:gosec // everybody reads them
			return fmt.Errorf("write /etc/%s: %w", name, err)
		}
	}
	return nil
}

// own is the one folder of the disk to write, under the path that it has outside.
func (r *root) own() error { return r.bind(r.Dir, r.Dir, unix.MS_NODEV) }

// cgroups mounts the sandbox's own, whose root is the inner group.
func (r *root) cgroups() error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for i, t := range r.Trees {
		h := t.inside(r.Trees)
		if i == 0 && h.Mount != cgroupRoot {
			if err := r.mount("tmpfs", cgroupRoot, flags, "mode=755,size=1m"); err != nil {
				return err
			}
		}
		kind := "cgroup"
		if h.Options == "" {
			kind = "cgroup2"
		}
		if err := r.mount(kind, h.Mount, flags, h.mountData()); err != nil {
			return err
		}
	}
	return nil
}

// enter makes the tree the only one and, but for what is mounted in it, unchangeable.
func (r *root) enter() error {
	if err := os.Chdir(r.at); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("%w: change root (not possible on an initramfs): %w", ErrUnavailable, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the machine's files: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter root: %w", err)
	}
	return readOnly("/", unix.MS_NOSUID)
}

// lockProc lets the kernel's switches only be read.
func lockProc() error {
	for _, p := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"} {
		err := unix.Mount(p, p, "", unix.MS_BIND|unix.MS_REC, "")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cover %s: %w", p, err)
		}
		if err := readOnly(p, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
			return err
		}
	}
	return nil
}
