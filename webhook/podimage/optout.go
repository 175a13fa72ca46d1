package podimage

import (
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// OptedOut reports whether the pod's annotation excludes its images from rewriting. If the pod has no such annotation, the
// namespace's label with the same name applies.
func OptedOut(pod *corev1.Pod, namespace map[string]string) bool {
	if OptedIn(pod) {
		return false
	}
	return pod.Annotations[config.RewriteAnnotation] == "false" || namespace[config.RewriteAnnotation] == "false"
}

// OptedIn reports whether the pod's annotation asks for its images to be rewritten.
func OptedIn(pod *corev1.Pod) bool { return pod.Annotations[config.RewriteAnnotation] == "true" }

// Mirror reports whether the pod mirrors one of the kubelet's static pods. The API server does not allow changing such a pod.
func Mirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}
