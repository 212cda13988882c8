package secret

import (
	"maps"
	"slices"

	"github.com/gigurra/flycd/shared/manifest"
)

// ForApp gives the names of the secrets that the app's machines get, in the order of the manifest: all
// but those that are build_only.
func ForApp(app *manifest.App) []string {
	var names []string
	for _, s := range app.Secrets {
		if !s.BuildOnly {
			names = append(names, s.Name)
		}
	}
	return names
}

// ForBuild gives the names of the secrets that a build of the app may use (build.secrets, build.ssh), sorted,
// each once. It asks for them whether or not the app gets them too.
func ForBuild(app *manifest.App) []string {
	if app.Build == nil {
		return nil
	}
	names := slices.Concat(app.Build.Secrets, slices.Collect(maps.Values(app.Build.SSH)))
	slices.Sort(names)
	return slices.Compact(names)
}

// only gives the app with those of its secrets that have one of the names.
func only(app *manifest.App, names []string) *manifest.App {
	some := *app
	some.Secrets = nil
	for _, s := range app.Secrets {
		if slices.Contains(names, s.Name) {
			some.Secrets = append(some.Secrets, s)
		}
	}
	return &some
}
