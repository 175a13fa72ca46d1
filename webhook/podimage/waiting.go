package podimage

import (
	"slices"

	"kind-local-registry/internal/rewrite"
)

// Waiting is a field of a pod whose image is yet to be pushed.
type Waiting struct {
	Field

	// Original is the original image.
	Original string
	// Target is the rewritten image with its tag.
	Target string
	// ByBuild reports whether the field names one build, see rewrite.WithBuild.
	ByBuild bool
	// Never reports whether the author wrote imagePullPolicy: Never, so that the original image must not be pulled.
	Never bool
}

// Waiting returns the fields of the pod whose image is yet to be pushed.
func (p *Pod) Waiting() []Waiting {
	var fields []Waiting
	for _, field := range Fields(p.Pod) {
		if original, ok := p.waits(field); ok {
			target := p.target(original)
			fields = append(fields, Waiting{
				Field: field, Original: original, Target: target, ByBuild: field.Image != target,
				Never: slices.Contains(p.never, field.Path),
			})
		}
	}
	return fields
}

// target returns the rewritten image of an original image, with its tag. An image of the registry itself stays.
func (p *Pod) target(original string) string {
	name, err := rewrite.Parse(original)
	if err != nil || name.Host() == p.RegistryHost {
		return original
	}
	target, err := name.Target(p.RegistryHost)
	if err != nil {
		return original
	}
	return target
}

// Pushes returns the reference to push: the original image, or the one build that the field names.
func (w Waiting) Pushes() string {
	if w.ByBuild {
		return w.Image
	}
	return w.Original
}

// ByTag returns the field as one that waits for any build of its original image.
func (w Waiting) ByTag() Waiting {
	w.ByBuild = false
	return w
}

// Pushed returns the field with its image pinned to the digest. An image of the registry itself or of one build stays, and so
// does an image that the API server allows no change of.
func (w Waiting) Pushed(digest string) Settled {
	if w.Final || w.ByBuild || w.Image == w.Original {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Target + "@" + digest}
}

// Restored returns the field with its original image. An image stays if the API server allows no change of it, or if its
// author forbade to pull the original.
func (w Waiting) Restored() Settled {
	if w.Final || w.Never {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Original}
}

// Settled is a field that has waited, and the image that it gets.
type Settled struct {
	Field Field
	Image string
}
