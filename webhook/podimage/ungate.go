package podimage

import (
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// Ungate returns the patch that sets the fields' images and removes our gate and the progress annotation. The patch fails if the
// images or the gate have changed since the pod was read. Ungate returns nil if there is nothing to change.
func Ungate(pod *corev1.Pod, fields []Settled) []jsonpatch.Operation {
	patch := []jsonpatch.Operation{TestUID(pod)}
	for _, settled := range fields {
		if settled.Image != settled.Field.Image {
			patch = append(patch, settled.Field.TestImage(), settled.Field.ReplaceImage(settled.Image))
		}
	}
	patch = append(patch, RemoveGate(pod)...)
	patch = append(patch, HideProgress(pod)...)
	if len(patch) == 1 {
		return nil
	}
	return patch
}

// Restore returns the patch that restores the original image of each field that waits for a push, and ungates the pod. It returns
// nil if the pod waits for nothing. In a running pod, the patch restores only images that the kubelet cannot pull. In an exempt
// namespace, it restores no images.
func (p *Pod) Restore() []jsonpatch.Operation {
	if slices.Contains(config.ExemptNamespaces(), p.Namespace) {
		return Ungate(p.Pod, nil)
	}
	unpullable := unpullable(p.Pod)
	var fields []Settled
	for _, waiting := range p.Waiting() {
		if p.Status.Phase != corev1.PodRunning || unpullable[waiting.Path].of(waiting.Image) {
			fields = append(fields, waiting.Restored())
		}
	}
	return Ungate(p.Pod, fields)
}
