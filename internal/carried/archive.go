package carried

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ErrNotBuilt is returned if setup was built without the images.
var ErrNotBuilt = errors.New("this setup contains no images; build it with make build")

// archiveFile is built by hack/images and never committed.
const archiveFile = "images/images.tar"

//go:embed images
var files embed.FS

// Archive opens the embedded archive, which docker load can read. The caller must close it. It returns ErrNotBuilt if the archive
// is missing.
func Archive() (io.ReadCloser, error) {
	archive, err := files.Open(archiveFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	return archive, err
}

// Layers returns the diffIDs of an image's layers. The diffIDs identify the image in every Docker daemon, unlike the image ID,
// which differs in the containerd image store. reference is a familiar name with a tag, such as
// kind-local-registry/webhook:v0.1.0.
func Layers(reference string) ([]string, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return nil, fmt.Errorf("parsing reference %q: %w", reference, err)
	}
	image, err := tarball.Image(Archive, &tag)
	if err != nil {
		return nil, fmt.Errorf("reading the embedded image %s: %w", reference, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the config of the embedded image %s: %w", reference, err)
	}
	var layers []string
	for _, id := range config.RootFS.DiffIDs {
		layers = append(layers, id.String())
	}
	return layers, nil
}
