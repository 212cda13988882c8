package assemble

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gigurra/flycd/shared/image"
)

// module is the path of FlyCD's module.
const module = "github.com/gigurra/flycd"

// Own makes the images of FlyCD itself, as Dockerfile.dispatcher and Dockerfile.runner describe them, without a builder and
// without Docker: the programs are compiled by the Go of this machine, and put together.
type Own struct {
	// Dir is a checkout of FlyCD. Without one, the sources of Version (v1.2.3, or another that the module has) are fetched.
	Dir, Version string
	// Keep is a folder where programs stay that were compiled, so that only what changed is compiled again; empty is
	// flycd/programs in the user's cache folder.
	Keep string
	// Go is the go command; empty is the one in PATH.
	Go string
	// Log takes what the go command prints; nil is nobody.
	Log io.Writer
}

// Dispatcher makes the dispatcher's image: one static binary, and the authorities that it trusts.
func (o Own) Dispatcher(ctx context.Context) (image.Assembled, error) {
	program, err := o.compile(ctx, "dispatcher")
	if err != nil {
		return image.Assembled{}, err
	}
	return image.Assemble(ctx, image.Assembly{
		Layers: []image.Layer{authorities(), layer(program, "/dispatcher")}, Entrypoint: []string{"/dispatcher"}, User: "65532:65532",
	})
}

// Runner makes the runner's image: the runner, and beside it the programs that only some jobs need. Where one of them can
// neither be found nor compiled here, the image has to do without, and without says what then does not work.
func (o Own) Runner(ctx context.Context) (made image.Assembled, without []string, err error) {
	layers := []image.Layer{authorities(), {Name: "tmp", Files: []image.File{{Path: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777}}}}
	programs, without, err := o.programs(ctx)
	if err != nil {
		return image.Assembled{}, nil, err
	}
	for _, p := range programs {
		layers = append(layers, layer(p, "/usr/bin/"+filepath.Base(p)))
	}
	program, err := o.compile(ctx, "runner", "grpcnotrace")
	if err != nil {
		return image.Assembled{}, nil, err
	}
	made, err = image.Assemble(ctx, image.Assembly{
		Layers: append(layers, layer(program, "/runner")), Entrypoint: []string{"/runner"},
		Env: []string{"PATH=/usr/bin", "HOME=/tmp"}, Dir: "/tmp",
	})
	return made, without, err
}

// compile compiles one of FlyCD's own programs.
func (o Own) compile(ctx context.Context, name string, tags ...string) (file string, err error) {
	b := GoBuild{
		Dir: o.Dir, Module: module + "@" + o.Version, Package: module + "/cmd/" + name, Tags: tags,
		Go: o.Go, Log: o.Log,
	}
	if o.Dir == "" && o.Version == "" {
		return "", fmt.Errorf("compile %s: neither a checkout of FlyCD nor a version is known", name)
	}
	if b.Out, err = o.kept("own", name); err != nil {
		return "", err
	}
	return b.Out, Compile(ctx, b)
}

// kept is a place in the folder of what was compiled.
func (o Own) kept(parts ...string) (string, error) {
	if o.Keep == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("keep programs: %w", err)
		}
		o.Keep = filepath.Join(dir, "flycd", "programs")
	}
	return filepath.Join(append([]string{o.Keep}, parts...)...), nil
}

func layer(from, to string) image.Layer {
	return image.Layer{Name: to, Files: []image.File{{Path: to, From: from, Mode: 0o755}}}
}
