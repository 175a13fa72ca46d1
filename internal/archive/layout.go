package archive

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// indexFile is the index of an OCI image layout.
	indexFile = "index.json"
	// containerdName is the annotation with which containerd, BuildKit and Docker record an image's whole name.
	containerdName = "io.containerd.image.name"
	// attestation is the annotation of an image manifest that describes another one.
	attestation = "vnd.docker.reference.type"
	// maxDescriptors is how many image manifests and indexes may be listed in an archive. No index contains itself, so the number also
	// limits how deep they are nested.
	maxDescriptors = 1000
)

// listed is an image manifest that an index lists.
type listed struct {
	v1.Descriptor

	names   []string
	listing string          // the digest of the image manifest or index in the archive's listing
	indexes []digest.Digest // the indexes that contain it
}

// layout collects the image manifests of an OCI image layout.
type layout struct {
	contents *contents
	choice   *choice
	visited  int // number of descriptors
	// manifests are the image manifests by group and digest.
	manifests map[string]*listed
}

// layoutImages returns the images of an OCI image layout.
func (c *contents) layoutImages() ([]Image, error) {
	var index v1.Index
	if err := c.parse(indexFile, &index); err != nil {
		return nil, err
	}
	l := &layout{contents: c, choice: newChoice(indexFile), manifests: map[string]*listed{}}
	for _, one := range index.Manifests {
		if err := l.add(one, groupOf(one), listed{names: nameOf(one), listing: one.Digest.String()}); err != nil {
			return nil, err
		}
	}
	chosen, err := l.choice.best()
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, one := range chosen {
		manifest := l.manifests[one.name]
		image, err := c.layoutImage(manifest.Descriptor)
		if err != nil {
			return nil, err
		}
		image.Names = manifest.names
		image.IDs = append(image.IDs, manifest.indexes...)
		images = append(images, image)
	}
	images = joinNames(images)
	return images, c.addTags(images)
}

// groupOf returns what the descriptors of images have in common that differ only in their platform: their name or, if the index itself
// lists platforms, nothing. Any other image is alone.
func groupOf(descriptor v1.Descriptor) string {
	switch names := nameOf(descriptor); {
	case len(names) > 0:
		return names[0]
	case descriptor.Platform != nil:
		return ""
	}
	return descriptor.Digest.String()
}

// nameOf returns the name of an image. A tag alone is no name.
func nameOf(descriptor v1.Descriptor) []string {
	if name := descriptor.Annotations[containerdName]; name != "" {
		return []string{name}
	}
	if name := descriptor.Annotations[v1.AnnotationRefName]; strings.ContainsAny(name, ":/") {
		return []string{name}
	}
	return nil
}

// add adds an image manifest, or all image manifests of an index. found tells what is known about it.
func (l *layout) add(descriptor v1.Descriptor, group string, found listed) error {
	name, err := l.contents.blobName(descriptor)
	if err != nil {
		return err
	}
	if l.visited++; l.visited > maxDescriptors {
		return faultf(name, "the archive lists more than %d image manifests", maxDescriptors)
	}
	if descriptor.Annotations[attestation] != "" || l.skips(descriptor, name) {
		return nil
	}
	var document struct {
		v1.Manifest

		Manifests []v1.Descriptor `json:"manifests"`
	}
	if _, _, err := l.contents.intact(layerFile{descriptor, name}); err != nil {
		return err
	}
	if err := l.contents.parse(name, &document); err != nil {
		return err
	}
	if document.Config.Digest == "" {
		found.indexes = append(slices.Clone(found.indexes), descriptor.Digest)
		for _, child := range document.Manifests {
			if err := l.add(child, group, found); err != nil {
				return err
			}
		}
		return nil
	}
	return l.addManifest(descriptor, group, found, document.Manifest)
}

// skips reports whether the archive lacks an image manifest, but only for another platform than the nodes'. Tools that save an image for one
// platform may keep the index for all of them.
func (l *layout) skips(descriptor v1.Descriptor, file string) bool {
	return descriptor.Platform != nil && !runs(*descriptor.Platform) && !l.contents.has(file)
}

// addManifest adds an image manifest, unless it describes something other than a container image.
func (l *layout) addManifest(descriptor v1.Descriptor, group string, found listed, manifest v1.Manifest) error {
	switch manifest.Config.MediaType {
	case v1.MediaTypeImageConfig, dockerConfig:
	default:
		return nil
	}
	platform, err := l.platform(descriptor, manifest)
	if err != nil {
		return err
	}
	key := group + " " + descriptor.Digest.String()
	found.Descriptor = descriptor
	l.manifests[key] = &found
	l.choice.add(option{group: group, listing: found.listing, name: key, platform: platform})
	return nil
}

// platform returns the platform of an image manifest. The config of an image for other nodes need not be in the archive.
func (l *layout) platform(descriptor v1.Descriptor, manifest v1.Manifest) (v1.Platform, error) {
	if descriptor.Platform != nil && !runs(*descriptor.Platform) {
		return *descriptor.Platform, nil
	}
	name, err := l.contents.blobName(manifest.Config)
	if err != nil {
		return v1.Platform{}, err
	}
	settings, err := l.contents.config(name)
	return platformOf(settings), err
}

// layoutImage returns the image with that image manifest.
func (c *contents) layoutImage(descriptor v1.Descriptor) (Image, error) {
	name, err := c.blobName(descriptor)
	if err != nil {
		return Image{}, err
	}
	content, err := c.document(name)
	if err != nil {
		return Image{}, err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return Image{}, faultf(name, "is not an image manifest: %v", err)
	}
	files := make([]layerFile, 0, 1+len(manifest.Layers))
	for _, one := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		file, err := c.blobName(one)
		if err != nil {
			return Image{}, err
		}
		files = append(files, layerFile{one, file})
	}
	image, err := c.image(files[0], files[1:])
	if err != nil {
		return Image{}, err
	}
	image.Entry, image.Manifest = name, content
	image.IDs = append(image.IDs, descriptor.Digest)
	return image, nil
}

// blobName returns the name of a blob's file.
func (c *contents) blobName(descriptor v1.Descriptor) (string, error) {
	if err := descriptor.Digest.Validate(); err != nil || descriptor.Digest.Algorithm() != digest.SHA256 {
		return "", faultf(indexFile, "leads to %q, which is not a sha256 digest", descriptor.Digest)
	}
	return path.Join("blobs", "sha256", descriptor.Digest.Encoded()), nil
}

// joinNames joins images that have the same image manifest.
func joinNames(images []Image) []Image {
	var joined []Image
	for _, image := range images {
		same := slices.IndexFunc(joined, func(other Image) bool { return other.Entry == image.Entry })
		if same < 0 {
			joined = append(joined, image)
			continue
		}
		joined[same].Names = append(joined[same].Names, image.Names...)
		joined[same].IDs = append(joined[same].IDs, image.IDs...)
	}
	return joined
}

// addTags adds the names in manifest.json to images that have none. Some tools write both files, and the names only there.
func (c *contents) addTags(images []Image) error {
	if !c.has(manifestFile) {
		return nil
	}
	var also tarball.Manifest
	if err := c.parse(manifestFile, &also); err != nil {
		return err
	}
	for i := range images {
		for _, one := range also {
			if len(images[i].Names) == 0 && path.Base(one.Config) == images[i].Blobs[0].Digest.Encoded() {
				images[i].Names = one.RepoTags
			}
		}
	}
	return nil
}
