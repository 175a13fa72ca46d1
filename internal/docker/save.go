package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// save is the source that every daemon has: GET /images/get. It is one stream of the whole image, so unwanted blobs are read
// and discarded. Docker's graph drivers write the image to the daemon's disk before they send the first byte.
type save struct {
	client *Client
	image  Image
}

// Name returns save.
func (save) Name() string { return "save" }

// maxDocument is the limit in bytes for a small blob that is read into memory: that of registries for an image manifest.
const maxDocument = 4 << 20

// Blobs yields one blob after another, in the order of the daemon's stream. Before Docker 25, the name of a layer's file does
// not contain its digest: the list at the end of the stream maps the names, and a second stream yields the layers.
func (s save) Blobs(
	ctx context.Context, want []digest.Digest, yield func(d digest.Digest, size int64, blob io.Reader) error,
) error {
	w := &walk{names: map[string]digest.Digest{}, want: map[digest.Digest]bool{}, yield: yield}
	for _, d := range want {
		w.want[d] = true
	}
	if err := s.read(ctx, w); err != nil || len(w.want) == 0 {
		return err
	}
	if w.list == nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, io.ErrUnexpectedEOF) // the list comes last
	}
	if err := w.nameLayers(s.image.Layers); err != nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, err)
	}
	if len(w.names) > 0 {
		if err := s.read(ctx, w); err != nil {
			return err
		}
	}
	for d := range w.want {
		return &rewrite.Refusal{
			Reason: rewrite.Unservable,
			Detail: fmt.Sprintf("the Docker daemon did not return blob %s of image %s", d, s.image.ID),
		}
	}
	return nil
}

// read reads one stream of the image.
func (s save) read(ctx context.Context, w *walk) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the daemon's work if the stream is not read to its end
	// By the ID: for a reference without a tag, the daemon would save all tags.
	stream, err := s.client.api.ImageSave(ctx, []string{s.image.ID.String()})
	if err != nil && strings.Contains(err.Error(), "could not verify layer data") {
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: "the Docker daemon cannot reproduce the image: " + err.Error()}
	}
	if err != nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, err)
	}
	defer func() { _ = stream.Close() }()
	err = w.through(tar.NewReader(stream))
	if yielded, ok := errors.AsType[*yieldError](err); ok {
		return yielded.err
	}
	if ctx.Err() != nil {
		err = ctx.Err() // the client closed the stream because of it
	}
	if err != nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, err)
	}
	return nil
}

// walk is a search for blobs in a saved image.
type walk struct {
	want  map[digest.Digest]bool
	yield func(digest.Digest, int64, io.Reader) error
	names map[string]digest.Digest // the blobs of files whose names do not contain the digest
	list  []savedImage             // manifest.json, once it was read
}

// savedImage is an entry of manifest.json
// (https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format).
type savedImage struct {
	Config string
	Layers []string
}

// through reads a saved image until all wanted blobs have been yielded.
func (w *walk) through(files *tar.Reader) error {
	for len(w.want) > 0 {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Name == "manifest.json" {
			if err := json.NewDecoder(io.LimitReader(files, maxDocument)).Decode(&w.list); err != nil {
				return fmt.Errorf("reading manifest.json: %w", err)
			}
		}
		d := w.digestOf(header)
		if !w.want[d] {
			continue
		}
		delete(w.want, d)
		if err := w.yield(d, header.Size, files); err != nil {
			return asYieldError(err)
		}
	}
	return nil
}

// digestOf returns the digest of the blob in a file, or "" if it is unknown.
func (w *walk) digestOf(header *tar.Header) digest.Digest {
	if header.Typeflag != tar.TypeReg {
		return ""
	}
	if d, known := w.names[header.Name]; known {
		return d
	}
	return digestInName(header.Name)
}

// blobName matches the names of blobs' files: in an OCI image layout, and those of older Docker versions and Podman.
var blobName = regexp.MustCompile(`^(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.(?:json|tar))$`) //nolint:gochecknoglobals // a constant

func digestInName(name string) digest.Digest {
	if found := blobName.FindStringSubmatch(name); found != nil {
		return digest.NewDigestFromEncoded(digest.SHA256, found[1]+found[2])
	}
	return ""
}

// nameLayers maps the names of layers' files that do not contain the digest, by the list.
func (w *walk) nameLayers(diffIDs []digest.Digest) error {
	if len(w.list) != 1 || len(w.list[0].Layers) != len(diffIDs) {
		return errors.New("manifest.json does not list the image's layers")
	}
	for i, name := range w.list[0].Layers {
		if name = path.Clean(name); digestInName(name) == "" && strings.HasSuffix(name, "/layer.tar") {
			w.names[name] = diffIDs[i]
		}
	}
	return nil
}
