package podimage

import (
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/rewrite"
)

// Waiting is a field of a pod whose image is yet to be pushed.
type Waiting struct {
	Field

	// Original is the reference as it was written.
	Original string
	// Target is what the original image becomes in the registry, with its tag.
	Target string
	// ByBuild says that the field names one build, see rewrite.WithBuild.
	ByBuild bool
	// Never says that the author wrote the pull policy Never: the original image may not be pulled.
	Never bool
}

// Pushes returns the name that is pushed: the original image, or exactly the build that the field names.
func (w Waiting) Pushes() string {
	if w.ByBuild {
		return w.Image
	}
	return w.Original
}

// WaitingFields returns the fields of the pod whose image is yet to be pushed.
func WaitingFields(pod *corev1.Pod, registryHost string) []Waiting {
	originals, never := ReadOriginals(pod), ReadNever(pod)
	var fields []Waiting
	for _, field := range Fields(pod) {
		if original, ok := originals.Of(field, registryHost); ok {
			target := targetOf(original, registryHost)
			fields = append(fields, Waiting{
				Field: field, Original: original, Target: target, ByBuild: field.Image != target,
				Never: slices.Contains(never, field.Path),
			})
		}
	}
	return fields
}

// targetOf returns what an original image becomes in the registry, with its tag; one of the registry itself stays.
func targetOf(original, registryHost string) string {
	name, err := rewrite.Parse(original)
	if err != nil || name.Host() == registryHost {
		return original
	}
	target, err := name.Target(registryHost)
	if err != nil {
		return original
	}
	return target
}

// Pushed returns what the field has once its image is pushed: the image by its digest. What names the registry itself or one
// build, and what nobody may change any more, stays.
func (w Waiting) Pushed(digest string) Settled {
	if w.Final || w.ByBuild || w.Image == w.Original {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Target + "@" + digest}
}

// ByTag returns the field as one that waits for whatever build the host has of its original image.
func (w Waiting) ByTag() Waiting {
	w.ByBuild = false
	return w
}

// Restored returns what the field has if its image is not pushed: the original image, unless nobody may change the field any
// more, or its author forbade to pull that.
func (w Waiting) Restored() Settled {
	if w.Final || w.Never {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Original}
}

// Settled is a field that has waited, and the image that it has in the end.
type Settled struct {
	Field Field
	Image string
}

// LetGo returns the patch that gives the fields their images, lifts our gate, and shows no progress any more. It applies to the pod as it was read, and
// to no other. There is none where nothing changes.
func LetGo(pod *corev1.Pod, fields []Settled) []jsonpatch.Operation {
	patch := []jsonpatch.Operation{TestUID(pod)}
	for _, settled := range fields {
		if settled.Image != settled.Field.Image {
			patch = append(patch, settled.Field.TestImage(), settled.Field.ReplaceImage(settled.Image))
		}
	}
	patch = append(patch, LiftGate(pod)...)
	patch = append(patch, HideProgress(pod)...)
	if len(patch) == 1 {
		return nil
	}
	return patch
}

// Restore returns the patch that lets the pod go as its author wrote it: each image that still waits for a push is restored,
// and our gate lifted. There is none for a pod that waits for nothing. A pod that has started keeps what it runs: only
// images that its kubelet cannot pull are restored there. In an exempt namespace no image is changed.
func Restore(pod *corev1.Pod, registryHost string) []jsonpatch.Operation {
	if slices.Contains(config.UnaskedNamespaces(), pod.Namespace) {
		return LetGo(pod, nil)
	}
	var fields []Settled
	for _, waiting := range WaitingFields(pod, registryHost) {
		if pod.Status.Phase != corev1.PodRunning || unpullable(pod)[waiting.Path].of(waiting.Image) {
			fields = append(fields, waiting.Restored())
		}
	}
	return LetGo(pod, fields)
}
