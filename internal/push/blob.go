package push

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/opencontainers/go-digest"
)

// size returns the size of a blob in the registry, or 0 where it has none.
func (r *Registry) size(ctx context.Context, repository string, d digest.Digest) (int64, error) {
	request, err := r.request(ctx, http.MethodHead, repository+"/blobs/"+d.String(), nil)
	if err != nil {
		return 0, err
	}
	response, err := r.send(request, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return 0, nil
	}
	return max(response.ContentLength, 0), nil
}

// upload moves a blob into the registry, which verifies it, by one POST and one PUT. It asks for the size after that,
// as distribution keeps a damaged blob that it has, whatever is uploaded.
func (r *Registry) upload(ctx context.Context, repository string, d digest.Digest, size int64, blob io.Reader) error {
	session, err := r.start(ctx, repository)
	if err != nil {
		return err
	}
	if err := r.put(ctx, session, d, size, blob); err != nil {
		return err // distribution takes no DELETE of a broken upload; it removes old ones by itself
	}
	held, err := r.size(ctx, repository, d)
	if err != nil {
		return err
	}
	if held != size {
		return fmt.Errorf("the registry keeps a damaged copy of %d bytes, not %d: remove it from its disk", held, size)
	}
	return nil
}

// start opens an upload and returns its URL.
func (r *Registry) start(ctx context.Context, repository string) (*url.URL, error) {
	request, err := r.request(ctx, http.MethodPost, repository+"/blobs/uploads/", nil)
	if err != nil {
		return nil, err
	}
	response, err := r.send(request, http.StatusAccepted)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	return response.Location()
}

// put sends all of the blob and ends the upload. It returns after the last read of the blob.
func (r *Registry) put(ctx context.Context, session *url.URL, d digest.Digest, size int64, blob io.Reader) error {
	end := *session
	query := end.Query()
	query.Set("digest", d.String())
	end.RawQuery = query.Encode()
	body := &body{Reader: blob, closed: make(chan struct{})}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, end.String(), body)
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := r.send(request, http.StatusCreated)
	<-body.closed
	switch {
	case ctx.Err() != nil: // whatever else went wrong then, did so for that
		return ctx.Err()
	case body.err != nil:
		return fmt.Errorf("reading the blob: %w", body.err)
	case err != nil:
		return err
	}
	return response.Body.Close()
}

// body is the body of a request that tells when the transport is done with it, which may be after the answer has come,
// and how reading it failed.
type body struct {
	io.Reader
	err    error
	once   sync.Once
	closed chan struct{}
}

// Read reads from the blob and keeps its error.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close is called by the transport, perhaps more than once.
func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}
