package rewrite

import (
	"fmt"

	"github.com/distribution/reference"
)

// Name is a normalised image reference. docker.io and library/ are filled in. If the reference has neither a tag nor a digest,
// the tag is latest.
type Name struct{ named reference.Named }

// Parse normalises image as Docker does (github.com/distribution/reference). It returns an error if the reference is invalid.
func Parse(image string) (Name, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return Name{}, fmt.Errorf("parsing reference %q: %w", image, err)
	}
	return Name{reference.TagNameOnly(named)}, nil
}

// String returns the normalised reference, such as docker.io/library/nginx:latest.
func (n Name) String() string { return n.named.String() }

// Familiar returns the short reference that people use, such as nginx:latest.
func (n Name) Familiar() string { return reference.FamiliarString(n.named) }

// FamiliarRepository returns the repository in the short form that people use, such as nginx.
func (n Name) FamiliarRepository() string { return reference.FamiliarName(n.named) }

// Host returns the registry's host, such as docker.io or localhost:5001.
func (n Name) Host() string { return reference.Domain(n.named) }

// Tag returns the tag, or "" if the reference has none.
func (n Name) Tag() string {
	if tagged, ok := n.named.(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// Digest returns the digest, or "" if the reference has none.
func (n Name) Digest() string {
	if digested, ok := n.named.(reference.Digested); ok {
		return digested.Digest().String()
	}
	return ""
}
