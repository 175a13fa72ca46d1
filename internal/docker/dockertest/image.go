package dockertest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
)

// Blob is a file in a saved image.
type Blob struct {
	// Digest is the digest in the file's name. Size is the size in the file's header.
	Digest digest.Digest
	Size   int64
	// Open returns the bytes that the daemon sends. A test may replace Open.
	Open func() io.Reader
}

// NewBlob returns a blob with the given content.
func NewBlob(content []byte) Blob {
	return Blob{
		Digest: digest.FromBytes(content),
		Size:   int64(len(content)),
		Open:   func() io.Reader { return bytes.NewReader(content) },
	}
}

// Layer returns a layer that contains one file, named file, with the given content.
func Layer(content string) Blob {
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	// Writing to memory cannot fail.
	_ = files.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))})
	_, _ = io.WriteString(files, content)
	_ = files.Close()
	return NewBlob(layer.Bytes())
}

// Noise returns a blob of size bytes that cannot be compressed. The whole blob is never in memory.
func Noise(size int64, seed byte) Blob {
	open := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size) }
	d, err := digest.FromReader(open())
	if err != nil {
		panic(err) // the generator never fails
	}
	return Blob{Digest: d, Size: size, Open: open}
}

// Image is an image of the fake daemon.
type Image struct {
	// Config is the image's config. Its digest is the image's ID.
	Config Blob
	Layers []Blob
	OS     string
	// RepoDigests are the image's references by digest, such as nginx@sha256:…
	RepoDigests []string
	// PulledFrom are the repositories from which the image was pulled, such as docker.io/library/nginx. The daemon reports them
	// since API 1.53.
	PulledFrom []string
}

// NewImage returns a Linux image with the given layers. Images with different labels have different IDs.
func NewImage(label string, layers ...Blob) Image {
	diffIDs := []digest.Digest{}
	for _, layer := range layers {
		diffIDs = append(diffIDs, layer.Digest)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Labels": map[string]string{"label": label}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		panic(err) // marshalling maps of strings never fails
	}
	return Image{Config: NewBlob(config), Layers: layers, OS: "linux"}
}

// ID returns the image's ID.
func (i Image) ID() digest.Digest { return i.Config.Digest }

// Size returns the layers' total size in bytes.
func (i Image) Size() int64 {
	var size int64
	for _, layer := range i.Layers {
		size += layer.Size
	}
	return size
}
