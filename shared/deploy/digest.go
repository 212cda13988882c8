package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
)

// digestBytes is how much of a SHA-256 a digest keeps: as long as one of Git's hashes.
const digestBytes = 20

// Digests are the hashes that say what an app is to be.
type Digests struct {
	// Config is the hash of the effective manifest and of the config folder's files that are used.
	Config string
	// Source is the hash of what the image is made from.
	Source string
}

// Wanted is the hash of both.
func (d Digests) Wanted() string { return digest(d.Config, d.Source) }

// digest hashes parts so that no two lists of parts give one text.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:digestBytes])
}

// ConfigDigest hashes what the config half says of one app: the effective manifest, whatever the
// order, comments and spelling of its keys, and the files of its folder that the app uses (merge_cfg,
// and those that files, compose and machine_config name). It is the same for a sync, a runner and
// the CLI.
func ConfigDigest(e manifest.Entry) (string, error) {
	text, err := canonical(e.Node)
	if err != nil {
		return "", fmt.Errorf("digest manifest of %s: %w", e.App.Name, err)
	}
	parts := []string{"config 1", text}
	names, err := usedFiles(e)
	if err != nil {
		return "", fmt.Errorf("digest config folder of %s: %w", e.App.Name, err)
	}
	for _, name := range names {
		sum, err := fileDigest(e.FS, path.Join(e.Dir, name))
		if err != nil {
			return "", fmt.Errorf("digest config folder of %s: %w", e.App.Name, err)
		}
		parts = append(parts, name, sum)
	}
	return digest(parts...), nil
}

// canonical gives the value of a node as JSON with sorted keys.
func canonical(node *yaml.Node) (string, error) {
	if node == nil {
		return "", nil
	}
	var v any
	if err := node.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(plain(v))
	return string(b), err
}

// plain turns maps with keys that are no strings into what JSON can hold.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[fmt.Sprint(k)] = plain(item)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	default:
		return v
	}
}

// usedFiles lists the files of the app's config folder that make a difference to the app, relative
// to the folder, in a stable order.
func usedFiles(e manifest.Entry) ([]string, error) {
	if e.FS == nil {
		return nil, nil
	}
	names := map[string]bool{}
	for _, name := range machine.FilesOf(e.App) {
		if info, err := fs.Stat(e.FS, path.Join(e.Dir, name)); err == nil && info.Mode().IsRegular() {
			names[path.Clean(name)] = true
		}
	}
	merged, err := mergedFiles(e)
	if err != nil {
		return nil, err
	}
	for _, name := range merged {
		names[name] = true
	}
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// mergedFiles lists the files that merge_cfg copies over the app's source, relative to the config
// folder. A name that merge_cfg includes and that is not there is an error.
func mergedFiles(e manifest.Entry) ([]string, error) {
	cfg := e.App.MergeCfg
	if !cfg.All {
		return includedFiles(e)
	}
	var out []string
	err := fs.WalkDir(e.FS, path.Clean(e.Dir), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(name, path.Clean(e.Dir)), "/")
		switch {
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() && rel != "" && excluded(cfg.Exclude, rel):
			return fs.SkipDir
		case d.Type().IsRegular() && !excluded(cfg.Exclude, rel):
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

func includedFiles(e manifest.Entry) ([]string, error) {
	var out []string
	for _, name := range e.App.MergeCfg.Include {
		name = path.Clean(name)
		if excluded(e.App.MergeCfg.Exclude, name) {
			continue
		}
		if !fs.ValidPath(path.Join(e.Dir, name)) || strings.HasPrefix(name, "../") {
			return nil, &missingFile{app: e.App.Name, name: name, why: "it is outside the folder of the manifest"}
		}
		info, err := fs.Stat(e.FS, path.Join(e.Dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &missingFile{app: e.App.Name, name: name, why: "there is no such file in " + e.Dir}
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, &missingFile{app: e.App.Name, name: name, why: "it is no file"}
		}
		out = append(out, name)
	}
	return out, nil
}

// missingFile says that merge_cfg.include names what is not there.
type missingFile struct{ app, name, why string }

func (m *missingFile) Error() string {
	return fmt.Sprintf("app %s: merge_cfg.include: %s: %s", m.app, m.name, m.why)
}

func excluded(patterns []string, name string) bool {
	for _, p := range patterns {
		p = path.Clean(p)
		if ok, err := path.Match(p, name); (err == nil && ok) || name == p || strings.HasPrefix(name, p+"/") {
			return true
		}
		if ok, err := path.Match(p, path.Base(name)); err == nil && ok && !strings.Contains(p, "/") {
			return true
		}
	}
	return false
}

func fileDigest(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
