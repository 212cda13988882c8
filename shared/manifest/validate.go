package manifest

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

func (a *appReader) validate(d *decoder, tree *yaml.Node, app *App) {
	validateName(d, tree, app)
	validateSource(d, tree, a.file, app)
}

func validateName(d *decoder, tree *yaml.Node, app *App) {
	n := lookup(tree, "app")
	switch {
	case app.Name == "":
		d.report(cmpNode(n, tree), "app", "is missing; say what the app is called on Fly (app: my-app)")
	case !isLabel(app.Name) || hasUpper(app.Name):
		d.report(n, "app", fmt.Sprintf("expected a name of small letters, digits and dashes, at most 63, found %q", clip(app.Name)))
	}
}

func hasUpper(s string) bool {
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'Z' {
			return true
		}
	}
	return false
}

// cmpNode gives the first node that there is.
func cmpNode(nodes ...*yaml.Node) *yaml.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

func validateSource(d *decoder, tree *yaml.Node, f manifestFile, app *App) {
	src, n := app.Source, lookup(tree, "source")
	switch src.Type {
	case "git":
		if src.Repo == "" {
			d.report(n, "source.repo", "is missing; say which repository the app is in")
		}
	case "local":
		if _, err := localPath(f.dir(), src.Path); err != nil {
			d.report(lookup(n, "path"), "source.path", err.Error())
		}
	case "inline-docker-file":
		if src.Inline == "" {
			d.report(n, "source.inline", "is missing; write the Dockerfile there")
		}
	case "image":
		if src.Image == "" {
			d.report(n, "source.image", "is missing; say which image the app runs")
		}
	case "":
		d.report(n, "source.type", "is missing; expected git, local, inline-docker-file or image")
	}
	validateRef(d, n, src.Ref)
}

func validateRef(d *decoder, source *yaml.Node, ref Ref) {
	set := 0
	for _, s := range []string{ref.Branch, ref.Tag, ref.Commit, ref.Semver, ref.Name} {
		if s != "" {
			set++
		}
	}
	if set > 1 {
		d.report(lookup(source, "ref"), "source.ref", "expected one of branch, tag, commit, semver and name, not several")
	}
}
