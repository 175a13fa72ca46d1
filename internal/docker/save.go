package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/webhook/rewrite"
)

// Save is the source of an image's blobs that every daemon has: GET /images/get. It is one stream of the whole image,
// so what is not wanted is read too, and thrown away.
type Save struct {
	client *Client
	id     digest.Digest
}

// Save returns the source of the blobs of the image with that ID.
func (c *Client) Save(id digest.Digest) Save { return Save{client: c, id: id} }

// Blobs calls yield for each blob in want, one after the other, in the order of the daemon's stream. The reader gives
// size bytes, unverified, and is of no use after yield has returned. An error of yield ends the stream and is returned.
func (s Save) Blobs(
	ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the daemon's work where the stream is not read to its end
	// By the ID: for a name without tag the daemon would give all tags.
	stream, err := s.client.api.ImageSave(ctx, []string{s.id.String()})
	if err != nil {
		return fmt.Errorf("saving image %s: %w", s.id, err)
	}
	defer func() { _ = stream.Close() }()
	missing, complete, err := s.walk(ctx, stream, slices.Clone(want), yield)
	switch {
	case err != nil || len(missing) == 0:
		return err
	case !complete:
		return fmt.Errorf("saving image %s: %w", s.id, io.ErrUnexpectedEOF)
	}
	return &rewrite.Refusal{
		Reason: rewrite.Unservable,
		Detail: fmt.Sprintf("the Docker daemon does not give blob %s of image %s", missing[0], s.id),
	}
}

// walk reads a saved image until all blobs in want have been yielded. It returns those that did not come, and whether
// the stream had its manifest, which comes after all blobs: a tar may end early without an error.
func (s Save) walk(
	ctx context.Context, stream io.Reader, want []digest.Digest, yield func(digest.Digest, int64, io.Reader) error,
) (missing []digest.Digest, complete bool, err error) {
	files := tar.NewReader(stream)
	for len(want) > 0 {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if ctx.Err() != nil {
			err = ctx.Err() // the client has closed the stream
		}
		if err != nil {
			return want, false, fmt.Errorf("saving image %s: %w", s.id, err)
		}
		complete = complete || header.Name == "manifest.json"
		i := slices.Index(want, blobDigest(header))
		if i < 0 {
			continue
		}
		if err := yield(want[i], header.Size, files); err != nil {
			return want, complete, err
		}
		want = slices.Delete(want, i, i+1)
	}
	return want, complete, nil
}

// blobDigest returns the digest of the blob in a file of an OCI image layout, or "" where it is none.
func blobDigest(header *tar.Header) digest.Digest {
	path, isBlob := strings.CutPrefix(header.Name, "blobs/")
	if !isBlob || header.Typeflag != tar.TypeReg {
		return ""
	}
	return digest.Digest(strings.Replace(path, "/", ":", 1))
}
