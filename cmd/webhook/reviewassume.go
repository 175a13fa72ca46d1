package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"sigs.k8s.io/yaml"

	"kind-local-registry/internal/rewrite"
)

// everything is a Looker that reports every image as present on the host and in the registry. If a name has no digest, the image's
// digest is derived from the name.
type everything struct{}

// Lookup implements lookup.Looker.
func (everything) Lookup(_ context.Context, name rewrite.Name) (rewrite.Presence, error) {
	digest := name.Digest()
	if digest == "" {
		digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name.String())))
	}
	return rewrite.Presence{OnHost: true, Digest: digest, Served: digest}, nil
}

// assumed is a Looker that knows only the images listed in a file.
type assumed map[rewrite.Name]rewrite.Presence

// Lookup implements lookup.Looker.
func (a assumed) Lookup(_ context.Context, name rewrite.Name) (rewrite.Presence, error) {
	return a[name], nil
}

// parseAssumed parses a document that lists images.
func parseAssumed(file string, document []byte) (assumed, error) {
	var listed map[string]rewrite.Presence
	if err := yaml.UnmarshalStrict(document, &listed); err != nil {
		return nil, fmt.Errorf("%s: %w; write it as IMAGE: {onHost: true}", file, err)
	}
	images := assumed{}
	var faults []error
	for image, presence := range listed {
		name, err := rewrite.Parse(image)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", file, err))
			continue
		}
		if presence.Served == "" {
			presence.Served = presence.Digest
		}
		images[name] = presence
	}
	return images, errors.Join(faults...)
}
