package deploy

import (
	"errors"
	"fmt"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// unsupported is a manifest key that is understood but cannot be applied yet. It is refused rather
// than left out: an app that runs without its secrets is worse than one that is not deployed.
type unsupported struct {
	key     string
	present func(*manifest.App) bool
	instead string
}

// unsupportedKeys is the one table of what this version refuses.
func unsupportedKeys() []unsupported {
	build := func(f func(*manifest.Build) bool) func(*manifest.App) bool {
		return func(a *manifest.App) bool { return a.Build != nil && f(a.Build) }
	}
	return []unsupported{
		{"source.policy", func(a *manifest.App) bool { return a.Source.Policy != manifest.ImagePolicy{} }, "name a tag in source.image; it is looked up at every deploy"},
		{"build.builder", build(func(b *manifest.Build) bool { return b.Builder != "" }), "buildpacks need a Docker daemon; write a Dockerfile"},
		{"build.buildpacks", build(func(b *manifest.Build) bool { return len(b.Buildpacks) > 0 }), "buildpacks need a Docker daemon; write a Dockerfile"},
		{"build.builtin", build(func(b *manifest.Build) bool { return b.Builtin != "" }), "write a Dockerfile"},
	}
}

// checkSupported rejects an app that asks for what cannot be applied yet, a line per key.
func checkSupported(e manifest.Entry) error {
	var errs []error
	for _, u := range unsupportedKeys() {
		if u.present(e.App) {
			errs = append(errs, fmt.Errorf("%s: %s: this version of FlyCD cannot apply it yet; %s", e.File, u.key, u.instead))
		}
	}
	return job.Reject(errors.Join(errs...))
}

// notes names keys that are accepted and do nothing.
func notes(app *manifest.App) []string {
	var out []string
	if b := app.Build; b != nil {
		if len(b.Settings) > 0 {
			out = append(out, "build.settings has no effect: it belongs to build.builtin")
		}
		if b.Compression != "" || b.CompressionLevel != nil {
			out = append(out, "build.compression has no effect: the builder chooses")
		}
	}
	if app.Experimental != nil && app.Experimental.AutoRollback {
		out = append(out, "experimental.auto_rollback has no effect: use on_failure")
	}
	return out
}
