package podimage

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
)

// Pod is a pod together with the contents of our annotations, which Read decodes once.
type Pod struct {
	*corev1.Pod

	// RegistryHost is the registry's host in rewritten images, such as localhost:5001.
	RegistryHost string

	recorded  map[string]string // the original images from the pod's annotation, by Field.Path
	originals map[string]string // recorded, and the original images recorded before an update
	never     []string          // the paths of fields whose author wrote imagePullPolicy: Never
}

// Read decodes our annotations on the pod. An invalid annotation is treated as missing.
func Read(pod *corev1.Pod, registryHost string) *Pod {
	recorded := readOriginals(pod)
	return &Pod{Pod: pod, RegistryHost: registryHost, recorded: recorded, originals: recorded, never: readNever(pod)}
}

// ReadUpdate is like Read, but for an update of the pod old. The update may lack our annotations (kubectl replace removes them),
// so the original images that old records are used too.
func ReadUpdate(pod *corev1.Pod, old *Pod) *Pod {
	updated := Read(pod, old.RegistryHost)
	updated.originals = maps.Clone(old.originals)
	maps.Copy(updated.originals, updated.recorded)
	return updated
}

// Original returns the field's original image. This is the recorded image if the field contains its rewritten form, with or
// without a digest. Otherwise, it is the field's current image.
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

// waits returns the original image of a field that still waits for its push. The field's image must be the rewritten form of the
// recorded image, with that image's tag or one build's tag, and without a digest. For any other field it returns false, so that
// an annotation that was copied from another pod or written by hand has no effect.
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

// Rewritten reports whether any of the pod's images is rewritten.
func (p *Pod) Rewritten() bool {
	return slices.ContainsFunc(Fields(p.Pod), func(field Field) bool { return p.Original(field) != field.Image })
}

// Never returns the paths of the fields whose original imagePullPolicy was Never.
func (p *Pod) Never() []string { return slices.Clone(p.never) }
