package podimage

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// Waiting is a field of a pod whose image is yet to be pushed.
type Waiting struct {
	Field

	// Original is the reference as it was written: the name that is pushed.
	Original string
}

// WaitingFields returns the fields of the pod whose image is yet to be pushed.
func WaitingFields(pod *corev1.Pod, registryHost string) []Waiting {
	originals := ReadOriginals(pod)
	var fields []Waiting
	for _, field := range Fields(pod) {
		if original, ok := originals.Of(field, registryHost); ok {
			fields = append(fields, Waiting{Field: field, Original: original})
		}
	}
	return fields
}

// Pushed returns what the field has once its image is pushed: the image by its digest. What names the registry itself, and
// what nobody may change any more, stays.
func (w Waiting) Pushed(digest string) Settled {
	if w.Final || w.Image == w.Original {
		return Settled{w.Field, w.Image}
	}
	return Settled{w.Field, w.Image + "@" + digest}
}

// Restored returns what the field has where its image is not pushed: what its author wrote, unless nobody may change it
// any more.
func (w Waiting) Restored() Settled {
	if w.Final {
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
// and our gate lifted. There is none for a pod that waits for nothing.
func Restore(pod *corev1.Pod, registryHost string) []jsonpatch.Operation {
	waiting := WaitingFields(pod, registryHost)
	fields := make([]Settled, len(waiting))
	for i, field := range waiting {
		fields[i] = field.Restored()
	}
	return LetGo(pod, fields)
}
