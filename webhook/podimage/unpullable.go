package podimage

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Unpullable returns the fields of the pod whose image the kubelet cannot pull, with their original images. What the kubelet
// says of an image that the pod had before counts for nothing.
func Unpullable(pod *corev1.Pod, registryHost string) []Field {
	failing := unpullable(pod)
	originals := ReadOriginals(pod)
	var fields []Field
	for _, field := range Fields(pod) {
		if failing[field.Path].of(field.Image) {
			fields = append(fields, field.With(originals.Written(field, registryHost)))
		}
	}
	return fields
}

// failure is a container of which the kubelet says that it cannot pull its image.
type failure struct{ image, message string }

// of reports whether it is that image which cannot be pulled. A container that ran before has the image that it ran then in
// its status; the kubelet's message quotes the one that it tries now.
func (f failure) of(image string) bool {
	return f.image != "" && (f.image == image || strings.Contains(f.message, `"`+image+`"`))
}

// unpullable returns the failures by Field.Path.
func unpullable(pod *corev1.Pod) map[string]failure {
	failing := map[string]failure{}
	for list, statuses := range map[string][]corev1.ContainerStatus{
		"initContainers": pod.Status.InitContainerStatuses, "containers": pod.Status.ContainerStatuses,
	} {
		for i := range statuses {
			if waiting := statuses[i].State.Waiting; waiting != nil && PullFails(waiting.Reason) {
				failing["spec."+list+"{"+statuses[i].Name+"}"] = failure{statuses[i].Image, waiting.Message}
			}
		}
	}
	return failing
}

// PullFails reports whether a container waits because its image cannot be pulled (kubernetes, pkg/kubelet/images/types.go).
func PullFails(reason string) bool { return reason == "ErrImagePull" || reason == "ImagePullBackOff" }

// Active selects the pods that have not ended: those that wait for an image, and those that may.
func Active() fields.Selector {
	const phase = "status.phase"
	return fields.AndSelectors(
		fields.OneTermNotEqualSelector(phase, string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector(phase, string(corev1.PodFailed)))
}
