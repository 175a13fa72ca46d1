package archive

import (
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"kind-local-registry/internal/push"
)

// manifestFile lists the images in an archive from docker save.
const manifestFile = "manifest.json"

// dockerImages returns the images of an archive that has no OCI image layout.
func (c *contents) dockerImages() ([]Image, error) {
	var listed tarball.Manifest
	if err := c.parse(manifestFile, &listed); err != nil {
		return nil, err
	}
	names := map[string][]string{} // by the config's file
	var configs []string
	described := map[string]tarball.Descriptor{}
	for _, one := range listed {
		if !slices.Contains(configs, one.Config) {
			configs, described[one.Config] = append(configs, one.Config), one
		}
		names[one.Config] = append(names[one.Config], one.RepoTags...)
	}
	wanted := newChoice(manifestFile)
	for _, config := range configs {
		settings, err := c.config(config)
		if err != nil {
			return nil, err
		}
		wanted.add(option{group: config, listing: config, name: config, platform: platformOf(settings)})
	}
	chosen, err := wanted.best()
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, one := range chosen {
		image, err := c.dockerImage(described[one.name])
		if err != nil {
			return nil, err
		}
		image.Names = names[one.name]
		images = append(images, image)
	}
	return images, nil
}

// dockerImage returns an image, and generates its image manifest.
func (c *contents) dockerImage(described tarball.Descriptor) (Image, error) {
	var layers []layerFile
	var descriptors []v1.Descriptor
	for _, name := range described.Layers {
		found, name, err := c.find(name)
		if err != nil {
			return Image{}, err
		}
		descriptor := v1.Descriptor{MediaType: layerType(found.layer.compression), Digest: found.digest, Size: found.size}
		layers, descriptors = append(layers, layerFile{descriptor, name}), append(descriptors, descriptor)
	}
	image, err := c.image(layerFile{name: described.Config}, layers)
	if err != nil {
		return Image{}, err
	}
	if want := known(described.Config); want != "" && want != image.Blobs[0].Digest {
		return Image{}, faultf(described.Config, "%v: it is %s", push.ErrMismatch, image.Blobs[0].Digest)
	}
	image.Entry = described.Config
	if image.Manifest, err = newManifest(image.Blobs[0], descriptors); err != nil {
		return Image{}, err
	}
	return image, nil
}
