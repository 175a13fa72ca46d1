package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// size returns the size in bytes of a blob in the registry. It returns 0 if the registry does not have the blob or does not know
// the digest's algorithm.
func (r *Registry) size(ctx context.Context, repository string, d digest.Digest) (int64, error) {
	request, err := r.request(ctx, http.MethodHead, repository+"/blobs/"+d.String(), nil)
	if err != nil {
		return 0, err
	}
	response, err := r.send(request, http.StatusOK, http.StatusNotFound, http.StatusBadRequest)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, nil
	}
	return max(response.ContentLength, 0), nil
}

// sizes concurrently asks the registry for the blobs' sizes, and returns the sizes of the blobs that are present. An image has
// no empty blobs, so an empty blob in the registry is damaged and is treated as missing.
func (r *Registry) sizes(
	ctx context.Context, repository string, blobs []digest.Digest,
) (map[digest.Digest]int64, error) {
	var mu sync.Mutex
	sizes := map[digest.Digest]int64{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrentHeads)
	for _, d := range blobs {
		group.Go(func() error {
			size, err := r.size(ctx, repository, d)
			if err != nil {
				return fmt.Errorf("looking up blob %s of %s in the registry: %w", d, repository, err)
			}
			if size > 0 {
				mu.Lock()
				defer mu.Unlock()
				sizes[d] = size
			}
			return nil
		})
	}
	return sizes, group.Wait()
}

// mount asks the registry to mount a blob from any other repository that has it, and returns the blob's size. If the registry
// does not find the blob, it opens an upload instead, and mount returns the upload's URL
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository).
func (r *Registry) mount(ctx context.Context, repository string, d digest.Digest) (int64, *url.URL, error) {
	session, err := r.open(ctx, repository, url.Values{"mount": {d.String()}})
	if err != nil || session != nil {
		return 0, session, err
	}
	size, err := r.size(ctx, repository, d)
	if err != nil || size > 0 {
		return size, nil, err
	}
	session, err = r.open(ctx, repository, nil)
	return 0, session, err
}

// open opens an upload and returns its URL. It returns nil if the registry mounted the blob instead.
func (r *Registry) open(ctx context.Context, repository string, query url.Values) (*url.URL, error) {
	request, err := r.request(ctx, http.MethodPost, repository+"/blobs/uploads/", nil)
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = query.Encode()
	response, err := r.send(request, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil || response.StatusCode == http.StatusCreated {
		return nil, err
	}
	return response.Location()
}

// blobUpload describes a blob to upload.
type blobUpload struct {
	session *url.URL // the upload's URL; nil if no upload is open yet
	digest  digest.Digest
	size    int64 // in bytes; -1 if it is unknown
	blob    io.Reader
}

// upload uploads a blob with one POST and one PUT, and returns the blob's size. The registry verifies the blob. upload then
// asks the registry for the size, because distribution keeps a damaged blob even after an intact one is uploaded. If the source
// fails, the error is a *sourceError.
func (r *Registry) upload(ctx context.Context, repository string, u blobUpload) (int64, error) {
	if u.session == nil {
		session, err := r.open(ctx, repository, nil)
		if err != nil {
			return 0, err
		}
		u.session = session
	}
	sent, err := r.put(ctx, u)
	if err != nil {
		return 0, err // our registry removes the partial upload immediately; other registries purge old uploads later
	}
	stored, err := r.size(ctx, repository, u.digest)
	if err != nil {
		return 0, err
	}
	if stored != sent {
		return 0, fmt.Errorf("the registry keeps a damaged copy with %d bytes instead of %d; remove it from the registry's disk", stored, sent)
	}
	return stored, nil
}

// put sends the blob, ends the upload, and returns the number of bytes sent. It does not return before the last read from the
// blob has ended.
func (r *Registry) put(ctx context.Context, u blobUpload) (int64, error) {
	end := *u.session
	query := end.Query()
	query.Set("digest", u.digest.String())
	end.RawQuery = query.Encode()
	body := &body{Reader: u.blob, size: u.size, closed: make(chan struct{})}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, end.String(), body)
	if err != nil {
		return 0, err
	}
	request.ContentLength = u.size
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := r.send(request, http.StatusCreated)
	<-body.closed
	refused, isRefused := errors.AsType[*StatusError](err)
	switch {
	case ctx.Err() != nil: // any other error results from this one
		return 0, ctx.Err()
	case body.err != nil:
		return 0, &sourceError{fmt.Errorf("reading the blob: %w", body.err)}
	case isRefused && strings.Contains(refused.Response, "DIGEST_INVALID"):
		return 0, &sourceError{fmt.Errorf("%w: %w", ErrMismatch, err)}
	case isRefused && refused.Code == http.StatusBadRequest:
		return 0, &sourceError{err}
	case err != nil:
		return 0, err
	}
	return body.sent, response.Body.Close()
}

// body is the body of a request. It records read errors. It also records when the transport closes it, which may be after the
// response has arrived.
type body struct {
	io.Reader
	size   int64 // in bytes; -1 if it is unknown
	sent   int64
	err    error
	once   sync.Once
	closed chan struct{}
}

// Read reads from the blob and records its error. It also returns an error if the blob ends early.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.sent += int64(n)
	if err == io.EOF && b.sent < b.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close closes the body. The transport may call it more than once.
func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
