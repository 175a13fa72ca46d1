package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/push"
)

// blob is the content of an entry.
type blob struct {
	digest digest.Digest
	size   int64
	// content is the content itself if it is in memory, otherwise nil.
	content []byte
	// staged is the content in the Staging if it is not in memory, otherwise nil.
	staged *push.Staged
	// layer is what the content is as a layer.
	layer layer
}

// layer describes a blob as an image's layer.
type layer struct {
	compression compression
	// diffID is the digest of the uncompressed tar.
	diffID digest.Digest
	// err is why nodes could not unpack the blob.
	err error
}

// inspector finds out what is written to it. Writing never fails. The caller must call end.
type inspector struct {
	digester digest.Digester
	size     int64
	pipe     *io.PipeWriter
	done     chan layer
}

// inspect returns an inspector.
func inspect() *inspector {
	r, w := io.Pipe()
	i := &inspector{digester: digest.SHA256.Digester(), pipe: w, done: make(chan layer, 1)}
	go func() {
		found := inspectLayer(r)
		_, _ = io.Copy(io.Discard, r) // so that the writer can go on
		i.done <- found
	}()
	return i
}

// Write implements io.Writer.
func (i *inspector) Write(p []byte) (int, error) {
	_, _ = i.digester.Hash().Write(p)
	i.size += int64(len(p))
	return i.pipe.Write(p)
}

// end returns what was written. It may be called only once.
func (i *inspector) end() blob {
	_ = i.pipe.Close() // never fails
	found := blob{digest: i.digester.Digest(), size: i.size, layer: <-i.done}
	if found.layer.compression == "" {
		found.layer.diffID = found.digest
	}
	return found
}

// inspectLayer reads a layer to its end, as a node does when it unpacks the layer.
func inspectLayer(r io.Reader) layer {
	data, of, end, err := expand(r)
	if err != nil {
		return layer{compression: of, err: fmt.Errorf("not a layer: %w", err)}
	}
	defer end()
	var hashed hash.Hash
	digester := digest.SHA256.Digester()
	if of != "" {
		hashed = digester.Hash()
		data = io.TeeReader(data, hashed)
	}
	err = readTar(data)
	return layer{compression: of, diffID: digester.Digest(), err: err}
}

// readTar reads a tar, and whatever follows it, to the end.
func readTar(r io.Reader) error {
	for entries := tar.NewReader(r); ; {
		_, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("not a layer: %w", explain(err))
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("not a layer: %w", explain(err))
	}
	return nil
}

// explain replaces errors whose text says little.
func explain(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is truncated")
	case errors.Is(err, tar.ErrHeader):
		return errors.New("it is not a tar")
	}
	return err
}
