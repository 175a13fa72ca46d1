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

// save is the source that every daemon has: GET /images/get. It is one stream of the whole image, so what is not wanted
// is read too, and thrown away; and Docker's graph drivers write the image to the daemon's disk before the first byte.
type save struct {
	client *Client
	image  Image
}

// Name returns save.
func (save) Name() string { return "save" }

// maxDocument is the limit in bytes for a document that is held in memory: that of registries for a manifest.
const maxDocument = 4 << 20

// Blobs yields one blob after the other, in the order of the daemon's stream. A layer that its name in the stream does
// not tell, as before Docker 25, is told by the list at the stream's end, and yielded from a second stream.
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
	if err := w.learn(s.image.Layers); err != nil {
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
			Detail: fmt.Sprintf("the Docker daemon does not give blob %s of image %s", d, s.image.ID),
		}
	}
	return nil
}

// read walks through one stream of the image.
func (s save) read(ctx context.Context, w *walk) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the daemon's work where the stream is not read to its end
	// By the ID: for a name without tag the daemon would give all tags.
	stream, err := s.client.api.ImageSave(ctx, []string{s.image.ID.String()})
	if err != nil && strings.Contains(err.Error(), "could not verify layer data") {
		return &rewrite.Refusal{Reason: rewrite.Unservable, Detail: "the Docker daemon cannot give the image as it was: " + err.Error()}
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
		err = ctx.Err() // the client has closed the stream
	}
	if err != nil {
		return fmt.Errorf("saving image %s: %w", s.image.ID, err)
	}
	return nil
}

// walk is what is looked for in a saved image.
type walk struct {
	want  map[digest.Digest]bool
	yield func(digest.Digest, int64, io.Reader) error
	names map[string]digest.Digest // the files whose names do not tell their digests
	list  []savedImage             // manifest.json, once it has come
}

// savedImage is an entry of manifest.json
// (https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format).
type savedImage struct {
	Config string
	Layers []string
}

// through reads a saved image until all that is wanted has been yielded.
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
			return asYielded(err)
		}
	}
	return nil
}

// digestOf returns the digest of the blob in a file, or "" where it is none that is known.
func (w *walk) digestOf(header *tar.Header) digest.Digest {
	if header.Typeflag != tar.TypeReg {
		return ""
	}
	if d, known := w.names[header.Name]; known {
		return d
	}
	return digestInName(header.Name)
}

// blobName matches what the files of blobs are called: in an OCI image layout, and by older Dockers and Podman.
var blobName = regexp.MustCompile(`^(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.(?:json|tar))$`) //nolint:gochecknoglobals // a constant

func digestInName(name string) digest.Digest {
	if found := blobName.FindStringSubmatch(name); found != nil {
		return digest.NewDigestFromEncoded(digest.SHA256, found[1]+found[2])
	}
	return ""
}

// learn takes from the list which layers are in files whose names do not tell.
func (w *walk) learn(diffIDs []digest.Digest) error {
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
