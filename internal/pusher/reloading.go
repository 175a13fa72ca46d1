package pusher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// The files of a mounted kubernetes.io/tls Secret with a client's certificate and key; the CA is in CAFile.
const (
	secretCertFile = "tls.crt"
	secretKeyFile  = "tls.key"
)

// ReloadingClient is a Client whose certificate is in the files of a mounted Secret. Every call reads them, so that they may
// appear and change while the process runs; a call without them fails. Concurrent pushes of one image share one request. It
// is safe for concurrent use.
type ReloadingClient struct {
	address   string
	directory string

	pushes coalesce.Group[push.Result, push.Progress] // by image

	mu     sync.Mutex
	files  certificateFiles
	client *Client
}

// NewReloadingClient returns a client of the server at address, which is host:port, with the certificate in a directory that
// has ca.crt, tls.crt and tls.key. It reads nothing yet.
func NewReloadingClient(address, directory string) *ReloadingClient {
	return &ReloadingClient{address: address, directory: directory}
}

// Close ends the pushes and closes idle connections.
func (r *ReloadingClient) Close() {
	r.pushes.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Close()
	}
}

// Lookup is Service.Lookup.
func (r *ReloadingClient) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	client, err := r.connect()
	if err != nil {
		return rewrite.Presence{}, err
	}
	return client.Lookup(ctx, name)
}

// Push is Service.Push. Concurrent callers share one request, as a Deployment may have hundreds of pods. A caller who joins a
// request that was already running waits for a second one too: the tag may have moved to another image since the first began.
// If it has not, the second one takes no time.
func (r *ReloadingClient) Push(
	ctx context.Context, image string, progress func(push.Progress),
) (push.Result, error) {
	run := func(ctx context.Context, report func(push.Progress)) (push.Result, error) {
		return r.push(ctx, image, report)
	}
	result, joined, err := r.pushes.Do(ctx, image, progress, run)
	if joined && ctx.Err() == nil {
		result, _, err = r.pushes.Do(ctx, image, progress, run)
	}
	return result, err
}

// push makes one request.
func (r *ReloadingClient) push(
	ctx context.Context, image string, report func(push.Progress),
) (push.Result, error) {
	client, err := r.connect()
	if err != nil {
		return push.Result{}, err
	}
	result, err := client.Push(ctx, image, report)
	if err != nil {
		return push.Result{}, err
	}
	// The client may have missed the last progress.
	report(push.Progress{Bytes: result.Bytes, Total: result.Bytes, Present: result.PresentBytes})
	return result, nil
}

// connect returns a client with the certificate that is in the files now.
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

// certificateFiles are the contents of the files, as PEM.
type certificateFiles struct{ ca, cert, key []byte }

// readCertificate reads the files. It reports every file that cannot be read.
func readCertificate(directory string) (files certificateFiles, err error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- the operator names the directory
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
