package assemble

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/image"
)

// foreignProgram is a program of others that the runner starts.
type foreignProgram struct {
	name, module, version, pkg string
	tags                       []string
	set                        map[string]string
	// cgo is a program with C code in it; any version of it that is here already will do, as it is hard to compile.
	cgo bool
}

// sopsVersion and runcVersion are those of Dockerfile.runner; the latter is the one that BuildKit is released with.
const (
	sopsVersion = "v3.13.3"
	runcVersion = "v1.5.2"
)

func foreignPrograms() (runc, buildkitd, buildctl, sops foreignProgram) {
	version := strings.TrimPrefix(image.Recipe, "buildkit ")
	kit := foreignProgram{
		module: "github.com/moby/buildkit", version: version, tags: []string{"osusergo", "netgo", "static_build", "seccomp"},
		set: map[string]string{"github.com/moby/buildkit/version.Version": version},
	}
	buildkitd, buildctl = kit, kit
	buildkitd.name, buildkitd.pkg = "buildkitd", kit.module+"/cmd/buildkitd"
	buildctl.name, buildctl.pkg = "buildctl", kit.module+"/cmd/buildctl"
	runc = foreignProgram{
		name: "runc", module: "github.com/opencontainers/runc", version: runcVersion, pkg: "github.com/opencontainers/runc", cgo: true,
		tags: []string{"osusergo", "netgo", "static_build", "seccomp"}, set: map[string]string{"main.version": strings.TrimPrefix(runcVersion, "v")},
	}
	sops = foreignProgram{
		name: "sops", module: "github.com/getsops/sops/v3", version: sopsVersion, pkg: "github.com/getsops/sops/v3/cmd/sops",
	}
	return runc, buildkitd, buildctl, sops
}

// programs are the files of the programs that stand beside the runner, largest reason to change last, and what the image
// has to do without.
func (o Own) programs(ctx context.Context) (files, without []string, err error) {
	runc, buildkitd, buildctl, sops := foreignPrograms()
	wanted := []foreignProgram{buildkitd, buildctl, sops}
	file, err := o.find(ctx, runc)
	switch {
	case ctx.Err() != nil:
		return nil, nil, err
	case err != nil:
		// BuildKit does nothing without it, and where there is no buildkitd the runner says so
		wanted = []foreignProgram{sops}
		without = append(without, fmt.Sprintf("runc, and so builds: the runner rejects apps with a Dockerfile (those with an image deploy). "+
			"Install gcc, pkg-config and libseccomp-dev, or a static runc for linux/amd64, and install again; or name a runner's image that has it. %v", err))
	default:
		files = append(files, file)
	}
	for _, p := range wanted {
		if file, err = o.find(ctx, p); err != nil {
			return nil, nil, err
		}
		files = append(files, file)
	}
	return files, without, nil
}

// find gives the file of a program: of this machine, where it is what the image needs, else one that is compiled.
func (o Own) find(ctx context.Context, p foreignProgram) (string, error) {
	kept, err := o.kept("others", p.version, p.name)
	if err != nil {
		return "", err
	}
	if fits(kept, p) {
		return kept, nil
	}
	if here, err := exec.LookPath(p.name); err == nil && fits(here, p) {
		return kept, stripped(ctx, here, kept)
	}
	if p.cgo {
		for _, needs := range []string{"gcc", "pkg-config"} {
			if _, err := exec.LookPath(needs); err != nil {
				return "", fmt.Errorf("compile %s: the program %s is not installed", p.name, needs)
			}
		}
	}
	err = Compile(ctx, GoBuild{
		Module: p.module + "@" + p.version, Package: p.pkg, Out: kept, Tags: p.tags, Set: p.set, CGO: p.cgo, Go: o.Go, Log: o.Log,
	})
	return kept, err
}

// fits tells whether a file is the program, runs on Fly's machines, and needs nothing beside it.
func fits(file string, p foreignProgram) bool {
	info, err := buildinfo.ReadFile(file)
	if err != nil || info.Main.Path != p.module || info.Main.Version != p.version && !p.cgo {
		return false
	}
	said := func(key, value string) bool {
		return slices.Contains(info.Settings, debug.BuildSetting{Key: key, Value: value})
	}
	return said("GOOS", "linux") && said("GOARCH", "amd64") && Static(file) == nil
}

// Static tells nothing of a program for linux/amd64 that needs no other file to run, and of any other what is wrong.
func Static(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("read program %s: %w", file, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("program %s is for another processor: %s", file, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("program %s is not static", file)
		}
	}
	return nil
}

// stripped copies a program, without what only a debugger needs where this machine has strip.
func stripped(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // programs may be read
		return fmt.Errorf("copy %s: %w", from, err)
	}
	work, err := os.MkdirTemp(filepath.Dir(to), ".copy-")
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left of it harms nobody
	made := filepath.Join(work, "made")
	cmd := exec.CommandContext(ctx, "strip", "-o", made, from) //nolint:gosec // a program of this machine, which is only read
	cmd.Env = []string{"PATH=" + path(cmd.Environ()), "LC_ALL=C"}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := copyFile(from, made); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
	if err := os.Chmod(made, 0o755); err != nil { //nolint:gosec // programs are run
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return os.Rename(made, to)
}

func path(environ []string) string {
	for _, v := range environ {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			return p
		}
	}
	return ""
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // a program of this machine
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o700) //nolint:gosec // a program
}

// Checkout finds the checkout of FlyCD that a folder is in.
func Checkout(dir string) (string, bool) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		text, readErr := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // only its first line matters
		if readErr == nil {
			first, _, _ := strings.Cut(string(text), "\n")
			return dir, strings.TrimSpace(first) == "module "+module
		}
		up := filepath.Dir(dir)
		if !errors.Is(readErr, fs.ErrNotExist) || up == dir {
			break
		}
		dir = up
	}
	return "", false
}
