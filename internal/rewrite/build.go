package rewrite

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

const (
	// buildDigits is how many hexadecimal digits of an image ID a build tag has.
	buildDigits = 12
	// longestTag is the length of a tag in bytes (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md).
	longestTag = 128
)

// buildTag matches a tag that names one build: the tag of the image, and the first digits of its ID.
var buildTag = regexp.MustCompile(`^(.+)-([0-9a-f]{12})$`)

// WithBuild returns the reference, which ends in a tag, with the tag of one build in its place: app:local becomes
// app:local-0123456789ab for the image ID sha256:0123456789ab… A digest that is known only later cannot be part of a
// reference which nobody may change; such a tag can, and never stands for another build. A tag that would become too long,
// and one of an image whose ID is not known, stays.
func WithBuild(ref, imageID string) string {
	_, id, _ := strings.Cut(imageID, ":")
	tag := ref[strings.LastIndexByte(ref, ':')+1:]
	if len(id) < buildDigits || len(tag)+1+buildDigits > longestTag {
		return ref
	}
	return ref + "-" + id[:buildDigits]
}

// IsBuildOf reports whether ref is base, a reference that ends in a tag, with the tag of any one build.
func IsBuildOf(ref, base string) bool {
	suffix, found := strings.CutPrefix(ref, base)
	return found && len(suffix) == 1+buildDigits && buildTag.MatchString("x"+suffix)
}

// Build returns, for a name with the tag of one build, the name with the tag of the image, and the first digits of that
// build's image ID. It returns false for any other name.
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

// Aliases returns the other names of an image that the name, one of the registry at registryHost, stands for: that of its
// repository's original, and without the tag of a build. A name of any other registry has none.
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

// original returns the name that a name of the local registry stands for, with the same tag and digest.
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
