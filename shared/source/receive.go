package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const maxPushBytes = 1 << 30

// offer tells a client that wants to push which refs there are.
func offer(w http.ResponseWriter, store *filesystem.Storage) error {
	refs := packp.NewAdvRefs()
	// a thin pack has parts of objects that only this side has, which go-git does not put together
	const noThin = capability.Capability("no-thin")
	for _, c := range []capability.Capability{capability.OFSDelta, capability.DeleteRefs, capability.ReportStatus, noThin} {
		if err := refs.Capabilities.Set(c); err != nil {
			return err
		}
	}
	all, err := store.IterReferences()
	if err != nil {
		return err
	}
	err = all.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && ref.Name() != plumbing.HEAD {
			refs.References[ref.Name().String()] = ref.Hash()
		}
		return nil
	})
	if err != nil {
		return err
	}
	refs.Prefix = [][]byte{[]byte("# service=git-receive-pack"), pktline.Flush}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
	return refs.Encode(w)
}

// receive takes a push: first all objects, then the refs, each in one step and only from where the client saw it.
func receive(w http.ResponseWriter, r *http.Request, store *filesystem.Storage) error {
	body := bufio.NewReader(http.MaxBytesReader(w, r.Body, maxPushBytes))
	if begin, err := body.Peek(len(pktline.FlushPkt) + 1); err != nil && bytes.Equal(begin, pktline.FlushPkt) {
		return nil // git tries a large push with nothing first
	}
	req, err := pushRequest(body, r.Header.Get("Content-Encoding"))
	if err != nil {
		http.Error(w, "the request cannot be read", http.StatusBadRequest)
		return nil //nolint:nilerr // it was told
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	report := packp.NewReportStatus()
	report.UnpackStatus = "ok"
	if err := unpackPush(store, req.Packfile); err != nil {
		report.UnpackStatus = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	for _, cmd := range req.Commands {
		status := "ok"
		if report.UnpackStatus != "ok" {
			status = "unpacker error"
		} else if err := follow(store, cmd); err != nil {
			status = err.Error()
		}
		report.CommandStatuses = append(report.CommandStatuses, &packp.CommandStatus{ReferenceName: cmd.Name, Status: status})
	}
	return report.Encode(w)
}

func pushRequest(body io.Reader, encoding string) (*packp.ReferenceUpdateRequest, error) {
	plain, err := unzipped(body, encoding, maxPushBytes)
	if err != nil {
		return nil, err
	}
	req := packp.NewReferenceUpdateRequest()
	return req, req.Decode(io.NopCloser(plain))
}

// unpackPush stores the objects of a push; one that only deletes refs sends none.
func unpackPush(store *filesystem.Storage, pack io.Reader) error {
	if pack == nil {
		return nil
	}
	in := bufio.NewReader(pack)
	if _, err := in.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	return packfile.UpdateObjectStorage(store, in)
}

func follow(store *filesystem.Storage, cmd *packp.Command) error {
	if !strings.HasPrefix(cmd.Name.String(), "refs/") || !validRefName(cmd.Name.String()) {
		return errors.New("no name of a ref")
	}
	is := plumbing.ZeroHash
	ref, err := store.Reference(cmd.Name)
	switch {
	case err == nil:
		is = ref.Hash()
	case !errors.Is(err, plumbing.ErrReferenceNotFound):
		return fmt.Errorf("read ref: %w", err)
	}
	if is != cmd.Old {
		return errors.New("fetch first")
	}
	if cmd.New.IsZero() {
		return store.RemoveReference(cmd.Name)
	}
	if _, err := store.EncodedObject(plumbing.AnyObject, cmd.New); err != nil {
		return errors.New("missing necessary objects")
	}
	return moveRef(store.Filesystem().Root(), cmd.Name, cmd.New)
}

// isReceive reports whether a request belongs to a push.
func isReceive(action string, r *http.Request) bool {
	return action == "/git-receive-pack" || action == "/info/refs" && r.URL.Query().Get("service") == transport.ReceivePackServiceName
}
