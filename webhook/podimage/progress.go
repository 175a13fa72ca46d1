package podimage

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// progressPath returns the JSON Pointer of the progress annotation.
func progressPath() string { return "/metadata/annotations/" + escape(config.ProgressAnnotation) }

// ShowProgress returns the patch that writes the progress annotation of a gated pod. The patch fails once the pod is ungated.
func ShowProgress(pod *corev1.Pod, text string) []jsonpatch.Operation {
	return []jsonpatch.Operation{TestUID(pod), testGate(gateIndex(pod)), setProgress(text)}
}

// setProgress returns the operation that writes the progress of a pod that has annotations.
func setProgress(text string) jsonpatch.Operation {
	return jsonpatch.NewOperation("add", progressPath(), text)
}

// HideProgress returns the operations that remove the progress annotation, if the pod is known to have it. They write it
// first: the pod may lack it after all, and removing an absent annotation would fail the patch.
func HideProgress(pod *corev1.Pod) []jsonpatch.Operation {
	if _, shown := pod.Annotations[config.ProgressAnnotation]; !shown {
		return nil
	}
	return []jsonpatch.Operation{setProgress(""), jsonpatch.NewOperation("remove", progressPath(), nil)}
}
