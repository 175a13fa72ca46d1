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
	// Digest is what the file is named by, and Size what the daemon says of it.
	Digest digest.Digest
	Size   int64
	// Open returns what the daemon sends. A test may put something else in its place.
	Open func() io.Reader
}

// NewBlob returns the blob with that content.
func NewBlob(content []byte) Blob {
	return Blob{
		Digest: digest.FromBytes(content),
		Size:   int64(len(content)),
		Open:   func() io.Reader { return bytes.NewReader(content) },
	}
}

// Layer returns the layer with one file, /file, of that content.
func Layer(content string) Blob {
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	// Writing to memory does not fail.
	_ = files.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))})
	_, _ = io.WriteString(files, content)
	_ = files.Close()
	return NewBlob(layer.Bytes())
}

// Noise returns a blob of that size, which cannot be compressed and is never in memory as a whole.
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
	// Config is the configuration; its digest is the image's ID.
	Config Blob
	Layers []Blob
	OS     string
	// RepoDigests are the references by which registries have the image, such as nginx@sha256:…
	RepoDigests []string
	// PulledFrom are the repositories that it was pulled from, such as docker.io/library/nginx, as daemons tell from API
	// 1.53 on.
	PulledFrom []string
}

// NewImage returns the linux image of those layers. Images that differ in label differ in their ID.
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
		panic(err) // strings and maps of them can be marshalled
	}
	return Image{Config: NewBlob(config), Layers: layers, OS: "linux"}
}

// ID returns the image's ID.
func (i Image) ID() digest.Digest { return i.Config.Digest }

// Size returns the sum of the layers' sizes.
func (i Image) Size() int64 {
	var size int64
	for _, layer := range i.Layers {
		size += layer.Size
	}
	return size
}
