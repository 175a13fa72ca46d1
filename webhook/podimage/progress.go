package podimage

import (
	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// progressPath returns the JSON Pointer of the progress annotation.
func progressPath() string { return "/metadata/annotations/" + escape(config.ProgressAnnotation) }

// ShowProgress returns the patch that writes a gated pod's progress annotation. The patch fails if the pod is no longer gated.
func ShowProgress(pod *corev1.Pod, text string) []jsonpatch.Operation {
	return []jsonpatch.Operation{TestUID(pod), testGate(gateIndex(pod)), setProgress(text)}
}

// setProgress returns the operation that writes the progress annotation. The pod must already have annotations.
func setProgress(text string) jsonpatch.Operation {
	return jsonpatch.NewOperation("add", progressPath(), text)
}

// HideProgress returns the operations that remove the progress annotation if the given pod has it. They write the annotation
// first, because the pod in the cluster may lack it and removing a missing annotation would make the patch fail.
func HideProgress(pod *corev1.Pod) []jsonpatch.Operation {
	if _, shown := pod.Annotations[config.ProgressAnnotation]; !shown {
		return nil
	}
	return []jsonpatch.Operation{setProgress(""), jsonpatch.NewOperation("remove", progressPath(), nil)}
}
