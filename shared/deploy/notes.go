package deploy

import (
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// checkSupported rejects an app that asks for what cannot be applied. It is refused rather than left out.
func checkSupported(e manifest.Entry) error {
	if b := e.App.Build; b != nil && b.Builtin != "" {
		return job.Rejectf("%s: build.builtin: flyctl carries the Dockerfiles of its builtins inside it; write the Dockerfile", e.File)
	}
	return nil
}

// notes names keys that are accepted and do nothing.
func notes(app *manifest.App) []string {
	var out []string
	if b := app.Build; b != nil && len(b.Settings) > 0 {
		out = append(out, "build.settings has no effect: it belongs to build.builtin")
	}
	if app.Experimental != nil && app.Experimental.AutoRollback {
		out = append(out, "experimental.auto_rollback has no effect: use on_failure")
	}
	return out
}
