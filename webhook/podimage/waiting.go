package podimage

import (
	"slices"

	"kind-local-registry/internal/rewrite"
)

// Waiting is a pod's image field whose image still has to be pushed.
type Waiting struct {
	Field

	// Original is the original image.
	Original string
	// Target is the rewritten image with its tag.
	Target string
	// ByBuild reports whether the field names one build; see rewrite.WithBuild.
	ByBuild bool
	// Never reports whether the author wrote imagePullPolicy: Never, which forbids pulling the original image.
	Never bool
}

// Waiting returns the pod's fields whose image still has to be pushed.
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

// target returns the rewritten image for an original image, with its tag. If the original image itself names the registry, target
// returns it unchanged.
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

// Pushes returns the reference to push. It is the build that the field names, if it names one, and otherwise the original image.
func (w Waiting) Pushes() string {
	if w.ByBuild {
		return w.Image
	}
	return w.Original
}

// ByTag returns a copy of the field that waits for any build of its original image.
func (w Waiting) ByTag() Waiting {
	w.ByBuild = false
	return w
}

// Pushed returns the field with its image pinned to the digest. The image stays unchanged if the original image names the
// registry, if the field names one build, or if the API server does not allow changing the field.
func (w Waiting) Pushed(digest string) Settled {
	if w.Final || w.ByBuild || w.Image == w.Original {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Target + "@" + digest}
}

// Restored returns the field with its original image. The image stays unchanged if the API server does not allow changing it, or
// if the author forbade pulling the original image.
func (w Waiting) Restored() Settled {
	if w.Final || w.Never {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Original}
}

// Settled is a field whose push has ended, with its new image.
type Settled struct {
	Field Field
	Image string
}
