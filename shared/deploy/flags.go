package deploy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// buildFlags are what launch_params and deploy_params say of the image. A key of the manifest wins over
// the flag of the same meaning.
type buildFlags struct {
	image, dockerfile, ignorefile, target string
	args                                  map[string]string
	noCache                               bool
}

func buildFlagsOf(e manifest.Entry) (buildFlags, error) {
	f := buildFlags{args: map[string]string{}}
	for _, params := range [][]string{e.App.LaunchParams, e.App.DeployParams} {
		for i := 0; i < len(params); i++ {
			if !strings.HasPrefix(params[i], "-") {
				continue // the value of a flag that says nothing of the image
			}
			name, value, has := strings.Cut(strings.TrimLeft(params[i], "-"), "=")
			if name == "no-cache" {
				f.noCache = value == "" || value == "true"
				continue
			}
			if !slices.Contains([]string{"image", "i", "dockerfile", "ignorefile", "build-target", "build-arg", "build-secret"}, name) {
				continue
			}
			if !has && i+1 < len(params) {
				i++
				value = params[i]
			}
			if err := f.set(name, value); err != nil {
				return f, job.Rejectf("%s: %w", e.File, err)
			}
		}
	}
	if b := e.App.Build; b != nil {
		maps.Copy(f.args, b.Args)
		f.image, f.dockerfile = or(b.Image, f.image), or(b.Dockerfile, f.dockerfile)
		f.ignorefile, f.target = or(b.Ignorefile, f.ignorefile), or(b.Target, f.target)
	}
	return f, nil
}

func (f *buildFlags) set(name, value string) error {
	switch name {
	case "image", "i":
		f.image = value
	case "dockerfile":
		f.dockerfile = value
	case "ignorefile":
		f.ignorefile = value
	case "build-target":
		f.target = value
	case "build-secret":
		return errors.New("deploy_params: --build-secret would put a value into the manifest: list the secret in secrets and name it in build.secrets")
	case "build-arg":
		k, v, ok := strings.Cut(value, "=")
		if !ok {
			return fmt.Errorf("deploy_params: --build-arg: expected NAME=VALUE, found %q", value)
		}
		f.args[k] = v
	}
	return nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
