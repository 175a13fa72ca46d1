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

// uploadPath matches the URL path of an upload in progress.
var uploadPath = regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([0-9a-f-]{36})$`) //nolint:gochecknoglobals // a constant

// dropInterrupted removes an upload if its client disconnects in the middle of a request. distribution would keep the bytes
// received so far, so that the client could resume. But docker push, containerd and the pusher always start again from the
// first byte. It also removes what distribution writes again after it has cancelled an upload: the state of the upload's hash.
func dropInterrupted(next http.Handler, root string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := uploadPath.FindStringSubmatch(r.URL.Path)
		if found != nil && r.Method == http.MethodDelete {
			answer := &statusWriter{ResponseWriter: w}
			next.ServeHTTP(answer, r)
			if answer.status == http.StatusNoContent {
				removeUpload(root, found[1], found[2])
			}
			return
		}
		if found == nil || r.Method != http.MethodPut && r.Method != http.MethodPatch {
			next.ServeHTTP(w, r)
			return
		}
		body := &errorReader{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // copies the request, which a handler must not change
		r.Body = body
		defer func() {
			if body.err != nil {
				removeUpload(root, found[1], found[2])
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// removeUpload removes an upload's directory.
func removeUpload(root, repository, id string) {
	name, err := reference.WithName(repository)
	if err != nil {
		return
	}
	directory := filepath.Join(root, "docker/registry/v2/repositories", name.Name(), "_uploads", id)
	if err := os.RemoveAll(directory); err != nil { // #nosec G703 -- name is valid
		logrus.WithError(err).Warn("cannot remove an interrupted upload")
	}
}

// errorReader records the error of the last read that failed.
type errorReader struct {
	io.ReadCloser
	err error
}

// Read reads from the body. It does not record io.EOF.
func (e *errorReader) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		e.err = err
	}
	return n, err
}

// purgeUploads removes the uploads of an earlier process. Their clients have lost their connections and start again.
func purgeUploads(ctx context.Context, root string) error {
	plain, err := filesystem.FromParameters(map[string]any{"rootdirectory": root})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(root, "docker/registry/v2/repositories")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	_, faults := storage.PurgeUploads(ctx, plain, time.Now(), true)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("removing an earlier process's uploads: %w", err)
	}
	return nil
}
