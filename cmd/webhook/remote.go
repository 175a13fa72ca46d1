package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/pusher"
	"kind-local-registry/webhook/rewrite"
)

// remotePusher is a client of the pusher whose certificate stands in files: a Secret that is mounted. They are read for
// every call, so that they may come and change while the process runs; a call without them fails.
type remotePusher struct {
	address   string
	directory string

	mu     sync.Mutex
	files  certificateFiles
	client *pusher.Client
}

// certificateFiles are the contents of the files.
type certificateFiles struct{ ca, cert, key []byte }

// Lookup implements webhook.Looker.
func (r *remotePusher) Lookup(ctx context.Context, name string) (rewrite.Presence, error) {
	client, err := r.connect()
	if err != nil {
		return rewrite.Presence{}, err
	}
	return client.Lookup(ctx, name)
}

// Push implements webhook.Pusher.
func (r *remotePusher) Push(ctx context.Context, name string) (string, error) {
	client, err := r.connect()
	if err != nil {
		return "", err
	}
	result, err := client.Push(ctx, name, nil)
	return result.Digest.String(), err
}

// Close closes the connections that are idle.
func (r *remotePusher) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Close()
	}
}

// connect returns a client with the certificate that stands in the files now.
func (r *remotePusher) connect() (*pusher.Client, error) {
	files, err := readCertificate(r.directory)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate for the pusher: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && files.equal(r.files) {
		return r.client, nil
	}
	security, err := pusher.ClientTLS(files.ca, files.cert, files.key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate for the pusher in %s: %w", r.directory, err)
	}
	if r.client != nil {
		r.client.Close()
	}
	r.client, r.files = pusher.NewClient(r.address, security), files
	return r.client, nil
}

// readCertificate reads the files, whose names are those of a kubernetes.io/tls Secret.
func readCertificate(directory string) (files certificateFiles, err error) {
	var faults []error
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(directory, name)) // #nosec G304 -- the operator names the directory
		faults = append(faults, err)
		return content
	}
	files = certificateFiles{
		ca: read(corev1.ServiceAccountRootCAKey), cert: read(corev1.TLSCertKey), key: read(corev1.TLSPrivateKeyKey),
	}
	return files, errors.Join(faults...)
}

// equal says whether the files have the same content.
func (f certificateFiles) equal(other certificateFiles) bool {
	return bytes.Equal(f.ca, other.ca) && bytes.Equal(f.cert, other.cert) && bytes.Equal(f.key, other.key)
}
