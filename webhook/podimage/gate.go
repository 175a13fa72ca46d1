package podimage

import (
	"fmt"
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// gate returns our scheduling gate (KEP-3521) for a pod's spec.
func gate() corev1.PodSchedulingGate { return corev1.PodSchedulingGate{Name: config.Gate} }

// Gated reports whether the pod has our gate.
func Gated(pod *corev1.Pod) bool { return gateIndex(pod) >= 0 }

// AddGate returns the operation that appends our gate to the pod's gates. The API server accepts a gate only when the pod is
// created, and only if the pod has no node.
func AddGate(pod *corev1.Pod) jsonpatch.Operation {
	if len(pod.Spec.SchedulingGates) == 0 {
		return jsonpatch.NewOperation("add", "/spec/schedulingGates", []corev1.PodSchedulingGate{gate()})
	}
	return jsonpatch.NewOperation("add", "/spec/schedulingGates/-", gate())
}

// RemoveGate returns the operations that remove only our gate. It returns no operations for a pod without our gate.
func RemoveGate(pod *corev1.Pod) []jsonpatch.Operation {
	index := gateIndex(pod)
	if index < 0 {
		return nil
	}
	return []jsonpatch.Operation{testGate(index), jsonpatch.NewOperation("remove", gatePath(index), nil)}
}

// testGate returns the operation that makes the patch fail if our gate is not at the given index.
func testGate(index int) jsonpatch.Operation {
	return jsonpatch.NewOperation("test", gatePath(index), gate())
}

func gatePath(index int) string { return fmt.Sprintf("/spec/schedulingGates/%d", index) }

// gateIndex returns the index of our gate in the pod's gates, or -1 if the pod does not have it.
func gateIndex(pod *corev1.Pod) int {
	return slices.IndexFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == config.Gate })
}
