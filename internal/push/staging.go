package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// Staging uploads blobs before it is known which images need them, and whether they are intact. Until Commit, the registry has only
// open uploads, which cannot be read and which Cancel removes. Staging is not safe for concurrent use.
type Staging struct {
	registry   *Registry
	repository string
	open       map[*Staged]bool
}

// Staged is a blob that was added to a Staging.
type Staged struct {
	// Present means that the registry already had the blob, so that it was not uploaded.
	Present bool

	session *url.URL // the upload; nil if there is none
}

// Stage returns a Staging that uploads to the repository.
func (r *Registry) Stage(repository string) *Staging {
	return &Staging{registry: r, repository: repository, open: map[*Staged]bool{}}
}

// Add reads a blob of size bytes to its end, and uploads it unless the registry has it. known is the digest that the blob probably
// has, or "". The caller must compare the blob with its digest.
func (s *Staging) Add(ctx context.Context, known digest.Digest, size int64, blob io.Reader) (*Staged, error) {
	session, err := s.session(ctx, known, size)
	if err != nil {
		return nil, fmt.Errorf("opening an upload: %w", err)
	}
	if session == nil {
		_, err := io.Copy(io.Discard, blob)
		return &Staged{Present: true}, err
	}
	staged := &Staged{session: session}
	s.open[staged] = true
	end, err := s.registry.patch(ctx, blobUpload{session: session, size: size, blob: blob})
	if err != nil {
		return nil, err
	}
	staged.session = end
	return staged, nil
}

// session opens an upload. It returns nil if the registry has the blob with the digest, and with the right size.
func (s *Staging) session(ctx context.Context, known digest.Digest, size int64) (*url.URL, error) {
	if known == "" {
		return s.registry.open(ctx, s.repository, nil)
	}
	present, session, err := s.registry.mount(ctx, s.repository, known)
	if err != nil || session != nil || present == size {
		return session, err
	}
	return s.registry.open(ctx, s.repository, nil)
}

// Commit ends the upload of a blob. The registry verifies the digest.
func (s *Staging) Commit(ctx context.Context, staged *Staged, d digest.Digest) error {
	if staged.session == nil {
		return nil
	}
	_, err := s.registry.put(ctx, blobUpload{session: staged.session, digest: d, blob: http.NoBody})
	if err != nil {
		return fmt.Errorf("storing blob %s: %w", d, err)
	}
	staged.session = nil
	delete(s.open, staged)
	return nil
}

// Cancel removes the uploads that were not committed.
func (s *Staging) Cancel(ctx context.Context) error {
	var faults []error
	for staged := range s.open {
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, staged.session.String(), nil)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		response, err := s.registry.send(request, http.StatusNoContent, http.StatusNotFound)
		if err != nil {
			faults = append(faults, fmt.Errorf("cancelling an upload: %w", err))
			continue
		}
		faults = append(faults, response.Body.Close())
		delete(s.open, staged)
	}
	return errors.Join(faults...)
}

// patch sends a blob without ending its upload. It returns the upload's new URL. If the source fails, the error is a *sourceError.
func (r *Registry) patch(ctx context.Context, u blobUpload) (*url.URL, error) {
	body := &body{Reader: u.blob, size: u.size, closed: make(chan struct{})}
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, u.session.String(), body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = u.size
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := r.send(request, http.StatusAccepted)
	<-body.closed
	switch {
	case ctx.Err() != nil: // any other error results from this one
		return nil, ctx.Err()
	case body.err != nil:
		return nil, &sourceError{body.err}
	case err != nil:
		return nil, err
	}
	end, err := response.Location()
	return end, errors.Join(err, response.Body.Close())
}

// Mount makes a blob that any repository of the registry has part of another repository.
func (r *Registry) Mount(ctx context.Context, repository string, d digest.Digest) error {
	size, session, err := r.mount(ctx, repository, d)
	if err != nil {
		return fmt.Errorf("mounting blob %s: %w", d, err)
	}
	if session != nil || size == 0 {
		return fmt.Errorf("the registry has lost blob %s", d)
	}
	return nil
}

// Upload makes a small blob part of the repository. It reports whether the blob was uploaded, because no repository had it.
func (r *Registry) Upload(ctx context.Context, repository string, content []byte) (uploaded bool, err error) {
	d := digest.FromBytes(content)
	size, session, err := r.mount(ctx, repository, d)
	if err != nil || size == int64(len(content)) {
		return false, err
	}
	_, err = r.upload(ctx, repository, blobUpload{session, d, int64(len(content)), bytes.NewReader(content)})
	return true, err
}

// PutArchived uploads the image manifest of an image from an archive, and records at the tag that its image came from an archive.
// The error wraps ErrNoInventory if the registry is not ours, because others do not record it.
func (r *Registry) PutArchived(ctx context.Context, target Target, manifest []byte) (digest.Digest, error) {
	mediaType, err := mediaTypeOf(manifest)
	if err != nil {
		return "", err
	}
	request, err := r.request(ctx, http.MethodPut, target.path(), bytes.NewReader(manifest))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", mediaType)
	request.Header.Set(inventory.ArchiveHeader, digest.FromBytes(manifest).String())
	response, err := r.send(request, http.StatusCreated)
	if err != nil {
		return "", fmt.Errorf("putting image manifest %s of %s: %w", target.Reference, target.Repository, err)
	}
	if err := response.Body.Close(); err != nil {
		return "", err
	}
	if response.Header.Get(inventory.ArchiveHeader) == "" {
		return "", ErrNoInventory
	}
	return digest.FromBytes(manifest), nil
}
