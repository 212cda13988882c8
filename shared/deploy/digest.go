package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/secret"
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
	text, err := canonical(e.Node, undeployed)
	if err != nil {
		return "", fmt.Errorf("digest manifest of %s: %w", e.App.Name, err)
	}
	parts := []string{"config 1", text}
	names, err := usedFiles(e)
	if err != nil {
		return "", fmt.Errorf("digest config folder of %s: %w", e.App.Name, err)
	}
	merged, err := mergedFiles(e)
	if err != nil {
		return "", fmt.Errorf("digest config folder of %s: %w", e.App.Name, err)
	}
	for _, name := range names {
		of := fileDigest
		if slices.Contains(merged, name) {
			of = mergedDigest
		}
		sum, err := of(e.FS, path.Join(e.Dir, name))
		if err != nil {
			return "", fmt.Errorf("digest config folder of %s: %w", e.App.Name, err)
		}
		parts = append(parts, name, sum)
	}
	return digest(parts...), nil
}

// undeployed takes out what no deploy of the app sees: whom to tell, and how the tree is pruned. These matter to the
// catalog alone, and a change of them changes no app.
func undeployed(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	delete(m, "notify")
	if sync, ok := m["sync"].(map[string]any); ok {
		delete(sync, "prune_max")
		delete(sync, "prune_grace")
		if len(sync) == 0 {
			delete(m, "sync")
		}
	}
	return m
}

// canonical gives the value of a node as JSON with sorted keys, after edit, where there is one, has changed it.
func canonical(node *yaml.Node, edit func(any) any) (string, error) {
	if node == nil {
		return "", nil
	}
	var v any
	if err := node.Decode(&v); err != nil {
		return "", err
	}
	v = plain(v)
	if edit != nil {
		v = edit(v)
	}
	b, err := json.Marshal(v)
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
	used := map[string]bool{}
	direct := machine.FilesOf(e.App)
	contents := map[string][]byte{}
	for _, name := range direct {
		if content, err := readInside(e.FS, e.Dir, name); err == nil {
			contents[name] = content
		}
	}
	for _, name := range slices.Concat(direct, machine.FilesIn(e.App, contents), secret.FilesOf(e.App)) {
		if info, err := fs.Stat(e.FS, path.Join(e.Dir, name)); err == nil && info.Mode().IsRegular() {
			used[path.Clean(name)] = true
		}
	}
	merged, err := mergedFiles(e)
	if err != nil {
		return nil, err
	}
	for _, name := range merged {
		used[name] = true
	}
	out := make([]string, 0, len(used))
	for name := range used {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

// mergedFiles lists the files that merge_cfg copies over the app's source, relative to the config
// folder. Names are globs, as the build's folder has them.
func mergedFiles(e manifest.Entry) ([]string, error) {
	cfg, dir := e.App.MergeCfg, path.Clean(e.Dir)
	if !cfg.All && len(cfg.Include) == 0 {
		return nil, nil
	}
	var out []string
	err := fs.WalkDir(e.FS, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := name
		if dir != "." {
			rel = strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		}
		switch {
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case (d.Type().IsRegular() || d.Type()&fs.ModeSymlink != 0) && (cfg.All || names(cfg.Include, rel)) && !names(cfg.Exclude, rel):
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}

// names reports whether a glob names the file or a folder above it.
func names(globs []string, file string) bool {
	for _, glob := range globs {
		glob = strings.TrimPrefix(path.Clean("/"+glob), "/")
		for at := file; at != "."; at = path.Dir(at) {
			if ok, err := doublestar.Match(glob, at); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// mergedDigest hashes a file that is copied over the source: there it matters as well whether it may be run.
func mergedDigest(fsys fs.FS, name string) (string, error) {
	sum, err := fileDigest(fsys, name)
	if err != nil {
		return "", err
	}
	if info, err := fs.Lstat(fsys, name); err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0 {
		return "executable " + sum, nil
	}
	return sum, nil
}

// fileDigest hashes a file, and of a symlink where it leads and the file that is there.
func fileDigest(fsys fs.FS, name string) (string, error) {
	h := sha256.New()
	if info, err := fs.Lstat(fsys, name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		target, err := fs.ReadLink(fsys, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "link %d:%s", len(target), target)
		if info, err := fs.Stat(fsys, name); err != nil || !info.Mode().IsRegular() {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
