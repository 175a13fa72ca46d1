package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/reference"
	"github.com/sirupsen/logrus"
)

// uploadPath matches the path of an upload that is under way.
var uploadPath = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([0-9a-f-]{36})$`) //nolint:gochecknoglobals // a constant

// dropBroken removes an upload whose client goes away in the middle of a request. distribution would keep what has come for
// the client to resume, but clients begin again from the first byte: docker push, containerd and the pusher all do.
func dropBroken(next http.Handler, root string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := uploadPath.FindStringSubmatch(r.URL.Path)
		if found == nil || r.Method != http.MethodPut && r.Method != http.MethodPatch {
			next.ServeHTTP(w, r)
			return
		}
		body := &faultReader{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // a copy: a handler must not change the request
		r.Body = body
		defer func() {
			if body.err != nil {
				removeUpload(root, found[1], found[2])
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// removeUpload removes all that is kept of an upload.
func removeUpload(root, repository, id string) {
	name, err := reference.WithName(repository)
	if err != nil {
		return
	}
	directory := filepath.Join(root, "docker/registry/v2/repositories", name.Name(), "_uploads", id)
	if err := os.RemoveAll(directory); err != nil { // #nosec G703 -- a valid name
		logrus.WithError(err).Warn("broken upload cannot be removed")
	}
}

// faultReader remembers the error that reading failed with.
type faultReader struct {
	io.ReadCloser
	err error
}

// Read reads on. The end of the body is no error.
func (f *faultReader) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// purge removes the uploads of an earlier process. Their clients lost the connection with it, and begin again.
func purge(ctx context.Context, root string) error {
	plain, err := filesystem.FromParameters(map[string]any{"rootdirectory": root})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "docker/registry/v2/repositories")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, faults := storage.PurgeUploads(ctx, plain, time.Now(), true)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("removing the uploads of an earlier process: %w", err)
	}
	return nil
}
