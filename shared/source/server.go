package source

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const maxRequestBytes = 8 << 20

// Server serves the bare repositories below Dir over git's smart HTTP, without any git program: a
// repository Dir/name.git is at /name.git (or /name). It serves full fetches: go-git's server knows
// neither shallow clones nor single commits. It is for loopback, in local mode and in tests, and asks
// for no credential.
type Server struct {
	// Dir holds the repositories.
	Dir string
	// Write takes pushes too.
	Write bool
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, action := "", ""
	for _, suffix := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		if n, ok := strings.CutSuffix(r.URL.Path, suffix); ok {
			name, action = n, suffix
		}
	}
	store, err := s.repository(name)
	if action == "" || errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, "the repository cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	switch {
	case isReceive(action, r) && s.Write && r.Method == http.MethodGet:
		err = offer(w, store)
	case isReceive(action, r) && s.Write && r.Method == http.MethodPost:
		err = receive(w, r, store)
	case action == "/info/refs" && r.Method == http.MethodGet && r.URL.Query().Get("service") == transport.UploadPackServiceName:
		err = serveRefs(w, r, store)
	case action == "/git-upload-pack" && r.Method == http.MethodPost:
		err = servePack(w, r, store)
	default:
		http.Error(w, "only reading is served", http.StatusForbidden)
		return
	}
	if err != nil {
		// the answer may have begun: breaking it off is the only way left to say so
		panic(http.ErrAbortHandler)
	}
}

// repository opens the repository that a URL path names. It never leaves Dir.
func (s *Server) repository(name string) (*filesystem.Storage, error) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return nil, fs.ErrNotExist
	}
	for _, candidate := range []string{clean, clean + ".git"} {
		dir := filepath.Join(s.Dir, filepath.FromSlash(candidate))
		//nolint:gosec // clean is local: it never leaves Dir
		if info, err := os.Stat(filepath.Join(dir, "objects")); err == nil && info.IsDir() {
			return filesystem.NewStorage(osfs.New(dir), cache.NewObjectLRUDefault()), nil
		}
	}
	return nil, fs.ErrNotExist
}

func sessionOf(store *filesystem.Storage) (transport.UploadPackSession, error) {
	ep := &transport.Endpoint{Protocol: "flycd"}
	return server.NewServer(server.MapLoader{ep.String(): store}).NewUploadPackSession(ep, nil)
}

func serveRefs(w http.ResponseWriter, r *http.Request, store *filesystem.Storage) error {
	session, err := sessionOf(store)
	if err != nil {
		return err
	}
	refs, err := session.AdvertisedReferencesContext(r.Context())
	if err != nil {
		return err
	}
	// go-git's server leaves out the commits of annotated tags
	folder := &folderRepo{store: store}
	for name, hash := range refs.References {
		if commit, _, err := peel(folder, hash); err == nil && commit != hash {
			refs.Peeled[name] = commit
		}
	}
	refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	return refs.Encode(w)
}

func servePack(w http.ResponseWriter, r *http.Request, store *filesystem.Storage) error {
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "the body is no gzip", http.StatusBadRequest)
			return nil
		}
		body = io.LimitReader(unzipped, maxRequestBytes)
	}
	req := packp.NewUploadPackRequest()
	if err := req.Decode(body); err != nil {
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return nil
	}
	session, err := sessionOf(store)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	for _, want := range req.Wants {
		if _, err := store.EncodedObject(plumbing.AnyObject, want); err != nil {
			return pktline.NewEncoder(w).Encodef("ERR upload-pack: not our ref %s\n", want)
		}
	}
	resp, err := session.UploadPack(r.Context(), req)
	if err != nil {
		return pktline.NewEncoder(w).EncodeString(fmt.Sprintf("ERR upload-pack: %v\n", err))
	}
	defer resp.Close() //nolint:errcheck // a pipe
	return resp.Encode(w)
}
