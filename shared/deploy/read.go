package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/source"
)

// readConfig fetches the config tree and finds the app in it.
func (w *work) readConfig(ctx context.Context) error {
	read, problems, err := w.readTree(ctx)
	if err != nil {
		return err
	}
	if w.entry, err = w.find(read, problems); err != nil {
		return err
	}
	for _, p := range read.Warnings {
		if p.App == w.entry.App.Name || (p.File == w.entry.File && p.Repo == w.entry.Repo) {
			w.warnings = append(w.warnings, p.String())
		}
	}
	w.noCache = w.buildSection().NoCache
	w.marks.app = w.entry.App.Name
	w.marks.configCommit = w.configAt.Hash
	w.marks.digests.Config, err = ConfigDigest(w.entry)
	return err
}

// find gives the job's app. Other apps' mistakes never reject this one's job; where the app was not
// found, those that may have hidden it are told.
func (w *work) find(read manifest.Tree, problems manifest.Problems) (manifest.Entry, error) {
	name := w.req.Job.App
	i := slices.IndexFunc(read.Apps, func(e manifest.Entry) bool { return e.App.Name == name })
	if i >= 0 {
		return read.Apps[i], nil
	}
	var mine manifest.Problems
	for _, p := range problems {
		if p.App == name || p.Hides || (w.req.Entry != nil && path.Dir(p.File) == path.Clean(w.req.Entry.Dir)) {
			mine = append(mine, p)
		}
	}
	if len(mine) > 0 {
		return manifest.Entry{}, job.Reject(mine)
	}
	where := "the config tree " + w.tree.ID()
	if w.configAt.Hash != "" {
		where += " at " + w.configAt.Hash
	}
	return manifest.Entry{}, job.Rejectf("%s names no app %s: it has %s", where, name, named(read.Apps))
}

// named lists the apps of a tree for a sentence.
func named(apps []manifest.Entry) string {
	const most = 10
	var names []string
	for _, e := range apps {
		names = append(names, e.App.Name)
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// readSource finds the app's source and its digest. A source whose commit is the one that the machines
// carry, under the same config, is not fetched.
func (w *work) readSource(ctx context.Context) error {
	src := w.entry.App.Source
	w.marks.sourceCommit = w.sourceAt.Hash
	if w.imageRef() != "" {
		return w.readFiles()
	}
	var err error
	switch src.Type {
	case "git":
		if w.sealed() && !w.rebuilds() {
			w.marks.digests.Source, w.marks.build = w.seal.meta[metaSourceDigest], w.seal.meta[metaBuild]
			return nil
		}
		w.where = src.Path
		// the digest needs no files, and an image that is there already needs none either
		w.code, err = w.trees.keep(w.Source.Outline(ctx, src.Repo, w.sourceAt))
		if err == nil && len(machine.FilesOf(w.entry.App)) > 0 {
			err = w.fill(ctx)
		}
	case "local", "":
		w.where = path.Join(w.entry.Dir, src.Path)
		w.code, err = w.trees.of(w.entry)
	case "inline-docker-file":
		w.marks.digests.Source = digest("inline", src.Inline)
	default:
		return job.Rejectf("%s: source.type: expected git, local, inline-docker-file or image, found %q", w.entry.File, src.Type)
	}
	if err != nil {
		return fmt.Errorf("fetch source of %s: %w", w.entry.App.Name, err)
	}
	if w.code != nil {
		reads, err := w.reads()
		if err != nil {
			return err
		}
		if w.marks.digests.Source, err = w.code.DigestOf(reads, src.Watch...); err != nil { //nolint:contextcheck // it takes none: it reads and ends
			return fmt.Errorf("digest source of %s: %w", w.entry.App.Name, err)
		}
	}
	return w.readFiles()
}

// reads says which files of the source its build reads.
func (w *work) reads() (source.Reading, error) { return readingOf(w.entry, w.where) }

// readingOf says which files below a folder the build of an app reads.
func readingOf(e manifest.Entry, where string) (source.Reading, error) {
	r := source.Reading{Path: where}
	if b := e.App.Build; b != nil {
		r.Dockerfile, r.Ignorefile = b.Dockerfile, b.Ignorefile
	}
	merged, err := mergedFiles(e)
	for _, name := range merged {
		// the build has another ignore file than the source
		r.All = r.All || strings.HasSuffix(name, ".dockerignore") || name == path.Clean(r.Ignorefile)
	}
	return r, err
}

// localDigest is the source digest of an app whose source lies beside its manifest, as a deploy of it finds it; empty
// for any other app, and where it cannot be told: the app's own job says why.
func (t *trees) localDigest(e manifest.Entry) string {
	src := e.App.Source
	if src.Type != "local" && src.Type != "" || e.App.ImageRef() != "" {
		return ""
	}
	code, err := t.of(e)
	if err != nil {
		return ""
	}
	reads, err := readingOf(e, path.Join(e.Dir, src.Path))
	if err != nil {
		return ""
	}
	sum, err := code.DigestOf(reads, src.Watch...)
	if err != nil {
		return ""
	}
	return sum
}

// sealed reports whether the machines carry the source's commit under the same config, so that its
// digest and image are known without a look.
func (w *work) sealed() bool {
	m := w.seal.meta
	return m[metaSourceCommit] != "" && m[metaSourceCommit] == w.sourceAt.Hash &&
		m[metaConfigDigest] == w.marks.digests.Config && m[metaSourceDigest] != "" &&
		w.seal.runs(w.repository(), m[metaBuild]) && len(machine.FilesOf(w.entry.App)) == 0
}

// readFiles reads what the manifest names: from the source after merge_cfg, else from the config
// folder.
func (w *work) readFiles() error {
	w.files = map[string][]byte{}
	merged, err := mergedFiles(w.entry)
	if err != nil {
		return err
	}
	if err := w.readNamed(machine.FilesOf(w.entry.App), merged); err != nil {
		return err
	}
	return w.readNamed(machine.FilesIn(w.entry.App, w.files), merged)
}

func (w *work) readNamed(names, merged []string) error {
	for _, name := range names {
		content, err := w.readFile(name, slices.Contains(merged, path.Clean(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // machine.Translate says which key names it
		}
		if err != nil {
			return job.Reject(fmt.Errorf("%s: read %s: %w", w.entry.File, name, err))
		}
		w.files[name] = content
	}
	return nil
}

func (w *work) readFile(name string, merged bool) ([]byte, error) {
	if w.code != nil && !merged {
		fsys, err := w.code.FS()
		if err != nil {
			return nil, err
		}
		content, err := readInside(fsys, w.where, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return readInside(w.entry.FS, w.entry.Dir, name)
}

// mostFile bounds a file that is put into a machine's config.
const mostFile = 1 << 20

func readInside(fsys fs.FS, dir, name string) ([]byte, error) {
	full := path.Join(".", dir, name)
	if path.IsAbs(name) || !fs.ValidPath(full) {
		return nil, errors.New("it is outside the repository")
	}
	info, err := fs.Stat(fsys, full)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > mostFile {
		return nil, fmt.Errorf("expected a file of at most %d bytes", mostFile)
	}
	return fs.ReadFile(fsys, full)
}

// awaitWindow ends an attempt for which it is too early. A plan may be made at any time, and what an
// earlier attempt began is finished.
func (w *work) awaitWindow(context.Context) error {
	if w.dry || len(w.earlier()) > 0 {
		return nil
	}
	note, err := checkWindows(w.entry.App, w.req.Job, w.Now())
	if note != "" {
		w.warnings = append(w.warnings, note)
	}
	return err
}
