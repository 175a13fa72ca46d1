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
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/rewrite"
)

// save is the source that every daemon provides, at GET /images/get. The response is one stream of the whole image; save
// discards the blobs that were not requested. If the daemon uses a graph driver, it writes the image to its disk before it
// sends the first byte.
type save struct {
	client *Client
	image  Image
}

// Name implements push.Source.
func (save) Name() string { return "save" }

// maxDocument is the maximum size in bytes of a small blob that is read into memory. Registries have the same limit for an
// image manifest.
const maxDocument = 4 << 20

// Blobs implements push.Source. It yields one blob after another, in the order of the daemon's stream. Before Docker 25, the
// names of the layers' files do not contain the digests. Blobs then takes the digests from the list at the end of the stream, and
// reads the layers from a second stream.
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

// unreproducible returns the texts with which daemons report that a layer's files have changed. tar-split finds a changed file by
// its checksum, and the daemon then compares the digest of the whole layer.
func unreproducible() []string {
	return []string{"could not verify layer data", "file integrity checksum failed"}
}

// read reads one stream of the image.
func (s save) read(ctx context.Context, w *walk) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // makes the daemon stop saving if the stream is not read to its end
	// For a reference without a tag, the daemon would save all tags. An ID prevents that.
	stream, err := s.client.api.ImageSave(ctx, []string{s.image.ID.String()})
	if err != nil && slices.ContainsFunc(unreproducible(), func(text string) bool { return strings.Contains(err.Error(), text) }) {
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
		err = ctx.Err() // the cause of the error: the client closed the stream when ctx ended
	}
	if err != nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, err)
	}
	return nil
}

// walk searches saved images for blobs.
type walk struct {
	want  map[digest.Digest]bool
	yield func(digest.Digest, int64, io.Reader) error
	names map[string]digest.Digest // the digests of files whose names do not contain the digest
	list  []savedImage             // manifest.json, after it has been read
}

// savedImage is an entry of manifest.json
// (https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format).
type savedImage struct {
	Config string
	Layers []string
}

// through reads a saved image until it has yielded all requested blobs.
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

// digestOf returns the digest of the blob that a file contains, or "" if the digest is unknown.
func (w *walk) digestOf(header *tar.Header) digest.Digest {
	if header.Typeflag != tar.TypeReg {
		return ""
	}
	if d, known := w.names[header.Name]; known {
		return d
	}
	return digestInName(header.Name)
}

// blobName matches the names of blobs' files in an OCI image layout, and the names that older Docker versions and Podman use.
var blobName = regexp.MustCompile(`^(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.(?:json|tar))$`) //nolint:gochecknoglobals // a constant

func digestInName(name string) digest.Digest {
	if found := blobName.FindStringSubmatch(name); found != nil {
		return digest.NewDigestFromEncoded(digest.SHA256, found[1]+found[2])
	}
	return ""
}

// nameLayers records the digests of the layers whose files' names do not contain them. The list contains the files' names in the
// order of diffIDs.
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
