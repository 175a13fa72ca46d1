package podimage

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
)

// Pod is a pod with what our annotations record of it. They are decoded once, by Read.
type Pod struct {
	*corev1.Pod

	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string

	recorded  map[string]string // the original images in the pod's annotation, by Field.Path
	originals map[string]string // the same, and those recorded before an update
	never     []string          // the paths of fields whose author wrote imagePullPolicy: Never
}

// Read decodes our annotations of the pod. An annotation that is not valid counts as missing.
func Read(pod *corev1.Pod, registryHost string) *Pod {
	recorded := readOriginals(pod)
	return &Pod{Pod: pod, RegistryHost: registryHost, recorded: recorded, originals: recorded, never: readNever(pod)}
}

// ReadUpdate is like Read, but for an update that replaces the pod old. The update may lack our annotations, as one by kubectl
// replace does, so what old records counts too.
func ReadUpdate(pod *corev1.Pod, old *Pod) *Pod {
	updated := Read(pod, old.RegistryHost)
	updated.originals = maps.Clone(old.originals)
	maps.Copy(updated.originals, updated.recorded)
	return updated
}

// Original returns the original image of the field: the recorded one, if the field has its rewritten form, with a digest or
// without. Otherwise it returns the field's image.
func (p *Pod) Original(field Field) string {
	image, _, pinned := strings.Cut(field.Image, "@")
	original, ok := p.waits(field.With(image))
	if name, err := rewrite.Parse(p.originals[field.Path]); !ok && pinned && err == nil {
		original, ok = p.waits(field.With(image + ":" + name.Tag()))
	}
	if !ok {
		return field.Image
	}
	return original
}

// waits returns the original image of a field that still waits for its push: the field has the recorded image in its rewritten
// form, with the tag of the image or of one build, and without a digest. It returns false for any other field, so that an
// annotation that was copied from another pod or written by hand has no effect.
func (p *Pod) waits(field Field) (original string, ok bool) {
	original, recorded := p.originals[field.Path]
	if !recorded {
		return "", false
	}
	name, err := rewrite.Parse(original)
	if err != nil || name.Digest() != "" {
		return "", false
	}
	if name.Host() == p.RegistryHost {
		return original, field.Image == original
	}
	target, err := name.Target(p.RegistryHost)
	return original, err == nil && (field.Image == target || rewrite.IsBuildOf(field.Image, target))
}

// Rewritten reports whether the pod has a rewritten image.
func (p *Pod) Rewritten() bool {
	return slices.ContainsFunc(Fields(p.Pod), func(field Field) bool { return p.Original(field) != field.Image })
}

// Never returns the paths of the fields whose author wrote imagePullPolicy: Never.
func (p *Pod) Never() []string { return slices.Clone(p.never) }
