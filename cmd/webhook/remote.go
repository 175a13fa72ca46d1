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

	"kind-local-registry/internal/coalesce"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook"
)

// remotePusher is a client of the pusher whose certificate stands in files: a Secret that is mounted. They are read for
// every call, so that they may come and change while the process runs; a call without them fails.
type remotePusher struct {
	address   string
	directory string

	pushes coalesce.Group[string, webhook.Progress] // by name; they come to a digest

	mu     sync.Mutex
	files  certificateFiles
	client *pusher.Client
}

// certificateFiles are the contents of the files.
type certificateFiles struct{ ca, cert, key []byte }

// Lookup implements lookup.Looker.
func (r *remotePusher) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	client, err := r.connect()
	if err != nil {
		return rewrite.Presence{}, err
	}
	return client.Lookup(ctx, name)
}

// Push implements webhook.Pusher. All who want a name at the same time share one request, as a Deployment has hundreds of
// pods. Who joins one that was under way takes part in another when that has ended: the name may have come to stand for
// another image since it began. Where it has not, the other takes no time.
func (r *remotePusher) Push(ctx context.Context, name string, progress func(webhook.Progress)) (string, error) {
	run := func(ctx context.Context, report func(webhook.Progress)) (string, error) {
		return r.push(ctx, name, report)
	}
	digest, joined, err := r.pushes.Do(ctx, name, progress, run)
	if joined && ctx.Err() == nil {
		digest, _, err = r.pushes.Do(ctx, name, progress, run)
	}
	return digest, err
}

// push makes one request.
func (r *remotePusher) push(ctx context.Context, name string, report func(webhook.Progress)) (string, error) {
	client, err := r.connect()
	if err != nil {
		return "", err
	}
	result, err := client.Push(ctx, name, translated(report))
	if err != nil {
		return "", err
	}
	report(webhook.Progress{Done: result.Bytes, Total: result.Bytes}) // the client may have missed the last progress
	return result.Digest.String(), nil
}

// translated returns a function that tells progress what the pusher says of it, or nil for nil.
func translated(progress func(webhook.Progress)) func(push.Progress) {
	if progress == nil {
		return nil
	}
	return func(p push.Progress) { progress(webhook.Progress{Done: p.Bytes, Total: p.Total}) }
}

// Close ends the pushes, and closes the connections that are idle.
func (r *remotePusher) Close() {
	r.pushes.Close()
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
