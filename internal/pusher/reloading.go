package pusher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// These are the names of the files in a mounted kubernetes.io/tls Secret that contain a client's certificate and key. CAFile
// contains the CA's certificate.
const (
	secretCertFile = "tls.crt"
	secretKeyFile  = "tls.key"
)

// ReloadingClient is a Client that reads its certificate from the files of a mounted Secret. It reads the files for every call,
// so they may appear and change while the process is running. A call fails if a file is missing. Concurrent pushes of one image
// share one request. ReloadingClient is safe for concurrent use.
type ReloadingClient struct {
	address   string
	directory string

	pushes coalesce.Group[push.Result, push.Progress] // by image

	mu     sync.Mutex
	files  certificateFiles
	client *Client
}

// NewReloadingClient returns a client for the server at address, in the form host:port. directory contains the files ca.crt,
// tls.crt and tls.key. NewReloadingClient does not read them yet.
func NewReloadingClient(address, directory string) *ReloadingClient {
	return &ReloadingClient{address: address, directory: directory}
}

// Close ends all pushes and closes idle connections.
func (r *ReloadingClient) Close() {
	r.pushes.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Close()
	}
}

// Lookup does the same as Client.Lookup.
func (r *ReloadingClient) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	client, err := r.connect()
	if err != nil {
		return rewrite.Presence{}, err
	}
	return client.Lookup(ctx, name)
}

// Promise does the same as Client.Promise.
func (r *ReloadingClient) Promise(ctx context.Context, image string) (digest.Digest, error) {
	client, err := r.connect()
	if err != nil {
		return "", err
	}
	return client.Promise(ctx, image)
}

// BrokenPromises does the same as Client.BrokenPromises.
func (r *ReloadingClient) BrokenPromises(ctx context.Context) ([]BrokenPromise, error) {
	client, err := r.connect()
	if err != nil {
		return nil, err
	}
	return client.BrokenPromises(ctx)
}

// Events does the same as Client.Events.
func (r *ReloadingClient) Events(ctx context.Context, connected func(), each func(Event)) error {
	client, err := r.connect()
	if err != nil {
		return err
	}
	return client.Events(ctx, connected, each)
}

// Deliver does the same as Client.Deliver. Concurrent callers share one request, because a Deployment may have hundreds of pods.
// A caller that joins a running request also waits for a second request, because the tag may have moved to another image since
// the first request began. If the tag has not moved, the second request takes almost no time.
func (r *ReloadingClient) Deliver(
	ctx context.Context, image string, progress func(push.Progress),
) (push.Result, error) {
	run := func(ctx context.Context, report func(push.Progress)) (push.Result, error) {
		return r.deliver(ctx, image, report)
	}
	result, joined, err := r.pushes.Do(ctx, image, progress, run)
	if joined && ctx.Err() == nil {
		result, _, err = r.pushes.Do(ctx, image, progress, run)
	}
	return result, err
}

// deliver sends one request.
func (r *ReloadingClient) deliver(
	ctx context.Context, image string, report func(push.Progress),
) (push.Result, error) {
	client, err := r.connect()
	if err != nil {
		return push.Result{}, err
	}
	result, err := client.Deliver(ctx, image, report)
	if err != nil {
		return push.Result{}, err
	}
	// The client may have missed the final progress.
	report(push.Progress{Bytes: result.Bytes, Total: result.Bytes, Present: result.PresentBytes})
	return result, nil
}

// connect returns a client that uses the files' current certificate.
func (r *ReloadingClient) connect() (*Client, error) {
	files, err := readCertificate(r.directory)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate for the pusher: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && files.equal(r.files) {
		return r.client, nil
	}
	security, err := ClientTLS(files.ca, files.cert, files.key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate for the pusher in %s: %w", r.directory, err)
	}
	if r.client != nil {
		r.client.Close()
	}
	r.client, r.files = NewClient(r.address, security), files
	return r.client, nil
}

// certificateFiles contains the files' contents, encoded as PEM.
type certificateFiles struct{ ca, cert, key []byte }

// readCertificate reads the files in directory. Its error lists every file that cannot be read.
func readCertificate(directory string) (files certificateFiles, err error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- the operator chooses the directory
		faults = append(faults, err)
		return content
	}
	files = certificateFiles{ca: read(CAFile), cert: read(secretCertFile), key: read(secretKeyFile)}
	return files, errors.Join(faults...)
}

// equal reports whether the files have the same contents.
func (f certificateFiles) equal(other certificateFiles) bool {
	return bytes.Equal(f.ca, other.ca) && bytes.Equal(f.cert, other.cert) && bytes.Equal(f.key, other.key)
}
