package source

import (
	"compress/gzip"
	"context"
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

// ServeStream serves one fetch of a repository over a connection, as git-upload-pack does for ssh: the refs, then what
// is asked for. The error is fs.ErrNotExist where there is no such repository.
func (s *Server) ServeStream(ctx context.Context, name string, conn io.ReadWriter) error {
	store, err := s.repository(name)
	if err != nil {
		return err
	}
	refs, err := advertised(ctx, store)
	if err != nil {
		return err
	}
	if err := refs.Encode(conn); err != nil {
		return err
	}
	req := packp.NewUploadPackRequest()
	err = req.Decode(io.LimitReader(conn, maxRequestBytes))
	if errors.Is(err, io.EOF) || errors.Is(err, packp.ErrEmpty) {
		return nil // the refs were enough
	}
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return sendPack(ctx, conn, store, req)
}

func advertised(ctx context.Context, store *filesystem.Storage) (*packp.AdvRefs, error) {
	session, err := sessionOf(store)
	if err != nil {
		return nil, err
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, err
	}
	// go-git's server leaves out the commits of annotated tags
	folder := &folderRepo{store: store}
	for name, hash := range refs.References {
		if commit, _, err := peel(folder, hash); err == nil && commit != hash {
			refs.Peeled[name] = commit
		}
	}
	return refs, nil
}

func serveRefs(w http.ResponseWriter, r *http.Request, store *filesystem.Storage) error {
	refs, err := advertised(r.Context(), store)
	if err != nil {
		return err
	}
	refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	return refs.Encode(w)
}

func servePack(w http.ResponseWriter, r *http.Request, store *filesystem.Storage) error {
	req := packp.NewUploadPackRequest()
	body, err := unzipped(http.MaxBytesReader(w, r.Body, maxRequestBytes), r.Header.Get("Content-Encoding"), maxRequestBytes)
	if err == nil {
		err = req.Decode(body)
	}
	if err != nil {
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return nil //nolint:nilerr // it was told
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	return sendPack(r.Context(), w, store, req)
}

// unzipped gives a body as it was before it was compressed, at most limit bytes of it.
func unzipped(body io.Reader, encoding string, limit int64) (io.Reader, error) {
	if encoding != "gzip" {
		return body, nil
	}
	in, err := gzip.NewReader(body)
	if err != nil {
		return nil, err
	}
	return io.LimitReader(in, limit), nil
}

func sendPack(ctx context.Context, w io.Writer, store *filesystem.Storage, req *packp.UploadPackRequest) error {
	session, err := sessionOf(store)
	if err != nil {
		return err
	}
	for _, want := range req.Wants {
		if _, err := store.EncodedObject(plumbing.AnyObject, want); err != nil {
			return pktline.NewEncoder(w).Encodef("ERR upload-pack: not our ref %s\n", want)
		}
	}
	resp, err := session.UploadPack(ctx, req)
	if err != nil {
		return pktline.NewEncoder(w).EncodeString(fmt.Sprintf("ERR upload-pack: %v\n", err))
	}
	defer resp.Close() //nolint:errcheck // a pipe
	return resp.Encode(w)
}
