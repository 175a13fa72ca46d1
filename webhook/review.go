package webhook

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
	"kind-local-registry/webhook/rewrite"
)

// Outcome is what was decided about one field of a pod.
type Outcome struct {
	// Field is the field, as the pod came.
	Field podimage.Field
	// Decision is what becomes of its image.
	Decision rewrite.Decision
}

// Patch returns the operations that carry the outcomes out on a pod that is being created, for the registry at
// registryHost: the images, the annotation with the references as they were written, and our gate where an image is yet
// to be pushed. It is empty where nothing changes, so that a second call on its own result does nothing.
func Patch(pod *corev1.Pod, outcomes []Outcome, registryHost string) ([]jsonpatch.Operation, error) {
	originals := podimage.ReadOriginals(pod)
	var patch []jsonpatch.Operation
	var recorded, pushing bool
	for _, o := range outcomes {
		pushing = pushing || o.Decision.NeedsPush()
		if o.Decision.Changed() {
			patch = append(patch, replace(o)...)
		}
		_, known := originals.Of(o.Field, registryHost)
		if o.Decision.Changed() || o.Decision.NeedsPush() && !known {
			originals[o.Field.Path] = o.Field.Image
			recorded = true
		}
	}
	if recorded {
		annotate, err := originals.Annotate(pod)
		if err != nil {
			return nil, err
		}
		patch = append(patch, annotate...)
	}
	// The API server refuses a gated pod that has a node: there, the kubelet tries until the image is pushed.
	if pushing && pod.Spec.NodeName == "" && !podimage.Gated(pod) {
		patch = append(patch, podimage.AddGate(pod))
	}
	return patch, nil
}

// replace returns the operations that rewrite one field. A pull policy of Never would keep the kubelet from the registry.
func replace(o Outcome) []jsonpatch.Operation {
	patch := []jsonpatch.Operation{o.Field.ReplaceImage(o.Decision.Rewritten)}
	if o.Field.PullPolicy == corev1.PullNever {
		patch = append(patch, o.Field.ReplacePullPolicy(corev1.PullIfNotPresent))
	}
	return patch
}
