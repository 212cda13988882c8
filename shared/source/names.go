package source

import (
	"path"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// cleanPaths gives the wanted paths without duplicates or paths below others; the empty path is
// everything, as is no path at all.
func cleanPaths(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return []string{""}, nil
	}
	var out []string
	for _, p := range paths {
		clean, err := cleanPath(p)
		if err != nil {
			return nil, err
		}
		out = append(out, clean)
	}
	return outermost(out), nil
}

// cleanPath gives the form of a path in a tree: slashes, no dot, empty for the root.
func cleanPath(p string) (string, error) {
	if strings.ContainsAny(p, "\x00\\") {
		return "", job.Rejectf("path %q: paths in a repository are separated by / and hold no \\", p)
	}
	clean := path.Clean("./" + strings.TrimPrefix(p, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", job.Rejectf("path %q leaves the repository", p)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// outermost drops paths that lie in another one.
func outermost(paths []string) []string {
	var out []string
	for i, p := range paths {
		covered := false
		for j, q := range paths {
			if i != j && within(p, q) && (p != q || j < i) {
				covered = true
			}
		}
		if !covered {
			out = append(out, p)
		}
	}
	return out
}

// within reports whether p is dir or lies in it.
func within(p, dir string) bool {
	return dir == "" || p == dir || strings.HasPrefix(p, dir+"/")
}

// checkName refuses the name of a tree entry that some system would take for something else than a
// plain name: parts of a path, git's own folder in any disguise, devices.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return job.Rejectf("a file is named %q", name)
	case strings.ContainsAny(name, "/\\\x00"):
		return job.Rejectf("the file name %q holds a path separator", name)
	case len(name) > 255:
		return job.Rejectf("the file name %.40q… is longer than 255 bytes", name)
	case isGitDir(name):
		return job.Rejectf("a file is named %q, which some systems take for git's own folder", name)
	case isDevice(name):
		return job.Rejectf("a file is named %q, which is a device on some systems", name)
	}
	return nil
}

// isGitDir knows the names that case-blind file systems, NTFS and HFS+ read as .git.
func isGitDir(name string) bool {
	name = strings.Map(func(r rune) rune {
		// HFS+ ignores these
		if r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff {
			return -1
		}
		return r
	}, name)
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToLower(strings.TrimRight(name, ". "))
	return name == ".git" || name == "git~1"
}

// isDevice knows the names that Windows reserves, whatever their extension.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base, _, _ = strings.Cut(base, ":")
	base = strings.ToLower(strings.TrimRight(base, " "))
	switch base {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	if len(base) == 4 && (strings.HasPrefix(base, "com") || strings.HasPrefix(base, "lpt")) {
		return base[3] >= '1' && base[3] <= '9'
	}
	return false
}
