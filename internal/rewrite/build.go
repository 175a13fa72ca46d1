package rewrite

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

const (
	// buildDigits is the number of hexadecimal digits of the image ID in a build tag.
	buildDigits = 12
	// longestTag is the maximum length of a tag in bytes
	// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md).
	longestTag = 128
)

// buildTag matches a build tag: the image's own tag, a hyphen, and the first digits of the image ID.
var buildTag = regexp.MustCompile(`^(.+)-([0-9a-f]{12})$`)

// WithBuild returns ref with a build tag. For the image ID sha256:0123456789ab…, app:local becomes app:local-0123456789ab. ref
// must end in a tag. A build tag always refers to the same build, so it suits references that cannot be changed later, when the
// digest is known. WithBuild returns ref unchanged if the build tag would be too long or the image ID is unknown.
func WithBuild(ref, imageID string) string {
	_, id, _ := strings.Cut(imageID, ":")
	tag := ref[strings.LastIndexByte(ref, ':')+1:]
	if len(id) < buildDigits || len(tag)+1+buildDigits > longestTag {
		return ref
	}
	return ref + "-" + id[:buildDigits]
}

// IsBuildOf reports whether ref is base with a build tag for any build. base must end in a tag.
func IsBuildOf(ref, base string) bool {
	suffix, found := strings.CutPrefix(ref, base)
	return found && len(suffix) == 1+buildDigits && buildTag.MatchString("x"+suffix)
}

// Build splits a name that has a build tag. It returns the name with the image's own tag, and the first digits of the image ID.
// For any other name, ok is false.
func (n Name) Build() (image Name, idPrefix string, ok bool) {
	found := buildTag.FindStringSubmatch(n.Tag())
	if found == nil || n.Digest() != "" {
		return Name{}, "", false
	}
	named, err := reference.WithTag(reference.TrimNamed(n.named), found[1])
	if err != nil {
		return Name{}, "", false
	}
	return Name{named}, found[2], true
}

// Aliases returns the other names of an image in the registry at registryHost. They are the image's original name and, if the
// tag is a build tag, both names with the image's own tag. Aliases returns nil for a name in any other registry.
func (n Name) Aliases(registryHost string) []Name {
	if n.Host() != registryHost {
		return nil
	}
	var aliases []Name
	if original, ok := n.original(); ok {
		aliases = append(aliases, original)
	}
	if image, _, ok := n.Build(); ok {
		aliases = append(aliases, image)
		if original, ok := image.original(); ok {
			aliases = append(aliases, original)
		}
	}
	return aliases
}

// original returns the original name of an image, given its name in the local registry. Tag and digest stay the same.
func (n Name) original() (Name, bool) {
	repository, err := FromRepository(reference.Path(n.named))
	if err != nil {
		return Name{}, false
	}
	named := repository.named
	if tag := n.Tag(); tag != "" {
		if named, err = reference.WithTag(named, tag); err != nil {
			return Name{}, false
		}
	}
	if digested, ok := n.named.(reference.Digested); ok {
		if named, err = reference.WithDigest(named, digested.Digest()); err != nil {
			return Name{}, false
		}
	}
	return Name{named}, true
}
