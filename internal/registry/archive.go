package registry

import (
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/inventory"
	"kind-local-registry/internal/registry/store"
)

// archiveWriter records that an image came from an archive, once its image manifest and its tag are stored, and before the response is
// sent.
type archiveWriter struct {
	http.ResponseWriter

	store           *store.Store
	repository, tag string
	digest          digest.Digest
}

// WriteHeader writes the status. If the client has said in its request that the image came from an archive, it gets the same header back.
func (w *archiveWriter) WriteHeader(status int) {
	if status == http.StatusCreated {
		if err := w.store.Archive(w.repository, w.tag, w.digest); err != nil {
			logrus.WithError(err).Warn("cannot record that an image came from an archive")
		} else {
			w.Header().Set(inventory.ArchiveHeader, w.digest.String())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// recordArchive returns a writer that records the origin of the image, if the request says that it came from an archive.
func (t *tracker) recordArchive(w http.ResponseWriter, r *http.Request, repository, tag string, content []byte) http.ResponseWriter {
	d := digest.FromBytes(content)
	if r.Header.Get(inventory.ArchiveHeader) != d.String() {
		return w
	}
	return &archiveWriter{w, t.store, repository, tag, d}
}

// showArchive adds to the response to a request for a tag that its image came from an archive.
func (t *tracker) showArchive(w http.ResponseWriter, repository, tag string) {
	if d, ok := t.store.Archived(repository, tag); ok {
		w.Header().Set(inventory.ArchiveHeader, d.String())
	}
}
