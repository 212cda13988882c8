package assemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// GoBuild says which program of Go to compile for Fly's machines (linux/amd64).
type GoBuild struct {
	// Dir is the folder of the program's module. Without one, Module (PATH@VERSION) is fetched as the go command
	// fetches modules: from its cache or its proxy, with hashes that the checksum database knows.
	Dir, Module string
	// Package is the program: an import path, or ./cmd/name in Dir.
	Package string
	// Out is the file that is written; its folder is made.
	Out string
	// Tags are the build's tags, Set the variables that the linker sets.
	Tags []string
	Set  map[string]string
	// CGO links C code, all of it statically. It needs a C compiler for linux/amd64.
	CGO bool
	// Go is the go command; empty is the one in PATH.
	Go string
	// Log takes what the go command prints; nil is nobody.
	Log io.Writer
}

// ErrNoGo says that there is no go command.
var ErrNoGo = errors.New("the program go is not in PATH: install Go (https://go.dev/dl), or name images that are built already")

// Compile compiles the program. The same sources and the same Go make the same bytes, wherever they are compiled. A
// build that fails tells the last lines of the go command. The file appears whole or not at all, so it is safe to repeat
// and to do at once with another.
//
// The go command gets nothing of this process's environment but what it is set up with.
func Compile(ctx context.Context, b GoBuild) error {
	if b.Go == "" {
		b.Go = "go"
	}
	if _, err := exec.LookPath(b.Go); err != nil {
		return ErrNoGo
	}
	if err := os.MkdirAll(filepath.Dir(b.Out), 0o755); err != nil { //nolint:gosec // programs may be read
		return fmt.Errorf("compile %s: %w", b.Package, err)
	}
	work, err := os.MkdirTemp(filepath.Dir(b.Out), ".compile-")
	if err != nil {
		return fmt.Errorf("compile %s: %w", b.Package, err)
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left of it harms nobody
	if b.Dir == "" {
		if err := b.fetch(ctx, work); err != nil {
			return fmt.Errorf("fetch %s: %w", b.Module, err)
		}
		b.Dir = work
	}
	made := filepath.Join(work, "made")
	if err := b.run(ctx, b.args(made, b.Dir == work)...); err != nil {
		return fmt.Errorf("compile %s: %w", b.Package, err)
	}
	if err := os.Rename(made, b.Out); err != nil {
		return fmt.Errorf("compile %s: %w", b.Package, err)
	}
	return nil
}

// fetch makes a module that uses the one which is wanted, because go install refuses modules whose go.mod excludes or
// replaces others.
func (b GoBuild) fetch(ctx context.Context, dir string) error {
	b.Dir = dir
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module programs\n"), 0o600); err != nil {
		return err
	}
	return b.run(ctx, "get", b.Module)
}

func (b GoBuild) args(out string, fetched bool) []string {
	link := []string{"-s", "-w"}
	if b.CGO {
		link = append(link, "-extldflags", "-static")
	}
	for _, k := range slices.Sorted(maps.Keys(b.Set)) {
		link = append(link, "-X", k+"="+b.Set[k])
	}
	// a stamp would tell each commit apart, also those that change nothing of the program
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", out, "-ldflags", strings.Join(link, " ")}
	if fetched {
		args = append(args, "-mod=mod")
	}
	if len(b.Tags) > 0 {
		args = append(args, "-tags", strings.Join(b.Tags, ","))
	}
	return append(args, b.Package)
}

// run runs the go command in the module's folder.
func (b GoBuild) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.Go, args...) //nolint:gosec // the arguments are made by this package
	cmd.Dir = b.Dir
	cgo := "CGO_ENABLED=0"
	if b.CGO {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), foreign), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOWORK=off", cgo)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if b.Log != nil {
		both := io.MultiWriter(&said, b.Log)
		cmd.Stdout, cmd.Stderr = both, both
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("go %s: %w:\n%s", args[0], err, lastLines(said.String(), 20))
	}
	return err
}

// foreign tells a variable that is not the go command's business, such as a token.
func foreign(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	name = strings.ToUpper(name)
	for _, prefix := range []string{"GO", "CGO_", "CC", "CXX", "PKG_CONFIG", "GIT_SSH", "GIT_CONFIG", "GIT_EXEC", "XDG_"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return !slices.Contains([]string{
		"PATH", "HOME", "USER", "LANG", "TMPDIR", "TMP", "TEMP", "NETRC", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PATHEXT", "COMSPEC", "PWD",
	}, name)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
