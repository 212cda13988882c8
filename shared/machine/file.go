package machine

import (
	"encoding/base64"
	"slices"
	"strings"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/manifest"
)

// files gives what [[files]] says. A guest path that comes twice keeps its place and takes the later
// content; one without content takes the file away.
func (t *translator) files() []*flygo.File {
	var all []*flygo.File
	for _, f := range t.app.Files {
		file := t.file(f)
		i := slices.IndexFunc(all, func(o *flygo.File) bool { return o.GuestPath == file.GuestPath })
		if i >= 0 {
			all[i] = file
			continue
		}
		all = append(all, file)
	}
	return slices.DeleteFunc(all, func(f *flygo.File) bool { return f.RawValue == nil && f.SecretName == nil })
}

func (t *translator) file(f manifest.File) *flygo.File {
	out := &flygo.File{GuestPath: f.GuestPath}
	if !strings.HasPrefix(f.GuestPath, "/") {
		t.bad("files.guest_path", "is %q; it must be an absolute path in the machine", f.GuestPath)
	}
	if len(f.Processes) > 0 {
		t.warn("files.processes", "has no effect, as in flyctl: every group gets %s", f.GuestPath)
	}
	switch {
	case f.LocalPath != "":
		out.RawValue = t.read("files.local_path", f.LocalPath)
	case f.SecretName != "":
		out.SecretName = new(f.SecretName)
	case f.RawValue != "":
		out.RawValue = new(base64.StdEncoding.EncodeToString([]byte(f.RawValue)))
	}
	return out
}

// read gives a named file's content in base64.
func (t *translator) read(key, path string) *string {
	content, ok := t.in.Files[path]
	if !ok {
		t.bad(key, "there is no file %q in the app's source or beside its manifest", path)
	}
	return new(base64.StdEncoding.EncodeToString(content))
}
