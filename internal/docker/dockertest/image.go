package dockertest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
)

// Blob is a file of a saved image.
type Blob struct {
	// Digest is the digest in the file's name, and Size the size in its header.
	Digest digest.Digest
	Size   int64
	// Open returns the bytes that the daemon sends. A test may replace it.
	Open func() io.Reader
}

// NewBlob returns a blob with that content.
func NewBlob(content []byte) Blob {
	return Blob{
		Digest: digest.FromBytes(content),
		Size:   int64(len(content)),
		Open:   func() io.Reader { return bytes.NewReader(content) },
	}
}

// Layer returns a layer with one file, /file, with that content.
func Layer(content string) Blob {
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	// Writing to memory does not fail.
	_ = files.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))})
	_, _ = io.WriteString(files, content)
	_ = files.Close()
	return NewBlob(layer.Bytes())
}

// Noise returns a blob of size bytes that cannot be compressed and is never in memory as a whole.
func Noise(size int64, seed byte) Blob {
	open := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size) }
	d, err := digest.FromReader(open())
	if err != nil {
		panic(err) // the generator has no errors
	}
	return Blob{Digest: d, Size: size, Open: open}
}

// Image is an image of the daemon.
type Image struct {
	// Config is the config; its digest is the image's ID.
	Config Blob
	Layers []Blob
	OS     string
	// RepoDigests are the image's references by digest in registries, such as nginx@sha256:…
	RepoDigests []string
	// PulledFrom are the repositories that the image was pulled from, such as docker.io/library/nginx. Daemons report them from
	// API 1.53 on.
	PulledFrom []string
}

// NewImage returns a linux image with those layers. Images with different labels have different IDs.
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
		panic(err) // maps of strings can be marshalled
	}
	return Image{Config: NewBlob(config), Layers: layers, OS: "linux"}
}

// ID returns the image's ID.
func (i Image) ID() digest.Digest { return i.Config.Digest }

// Size returns the total size of the layers in bytes.
func (i Image) Size() int64 {
	var size int64
	for _, layer := range i.Layers {
		size += layer.Size
	}
	return size
}
