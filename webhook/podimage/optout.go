package podimage

import (
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/config"
)

// OptedOut reports whether the pod's annotation asks us to leave its images alone. If the pod has no such annotation, the label
// with the same name on its namespace applies.
func OptedOut(pod *corev1.Pod, namespace map[string]string) bool {
	if OptedIn(pod) {
		return false
	}
	return pod.Annotations[config.RewriteAnnotation] == "false" || namespace[config.RewriteAnnotation] == "false"
}

// OptedIn reports whether the pod's annotation asks us to rewrite its images.
func OptedIn(pod *corev1.Pod) bool { return pod.Annotations[config.RewriteAnnotation] == "true" }

// Mirror reports whether the pod mirrors a static pod of the kubelet. The API server accepts no change of such a pod.
func Mirror(pod *corev1.Pod) bool {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}
