package podimage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Unpullable returns the fields whose image the kubelet cannot pull, with their original images. A failure to pull an image that
// the pod no longer names is ignored.
func (p *Pod) Unpullable() []Field {
	failing := unpullable(p.Pod)
	var fields []Field
	for _, field := range Fields(p.Pod) {
		if f := failing[field.Path]; f.of(field.Image) && !AboutVolume(p.Pod, field, f.message) {
			fields = append(fields, field.With(p.Original(field)))
		}
	}
	return fields
}

// failure is the kubelet's report about a container whose image it cannot pull.
type failure struct{ image, message string }

// of reports whether the kubelet failed to pull the given image. If the container has run before, its status may still contain
// the earlier image. The kubelet's message, however, quotes the image that the kubelet is now trying to pull.
func (f failure) of(image string) bool {
	return f.image != "" && (f.image == image || strings.Contains(f.message, `"`+image+`"`))
}

// AboutVolume reports whether the kubelet's message about the field's container is about an image that the pod mounts as a volume. The
// kubelet reports the failure to pull such an image in the status of the container that mounts it (KEP-4639).
func AboutVolume(pod *corev1.Pod, field Field, message string) bool {
	return slices.ContainsFunc(Fields(pod), func(other Field) bool {
		return other.IsVolume() && other.Image != field.Image && quotes(message, other.Image)
	})
}

// quotes reports whether the message quotes the image, as the pod names it or as containerd does.
func quotes(message, image string) bool {
	for _, prefix := range []string{"", "docker.io/", "docker.io/library/"} {
		if strings.Contains(message, `"`+prefix+image+`"`) {
			return true
		}
	}
	return false
}

// unpullable returns the failures to pull an image, by Field.Path.
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

// PullFails reports whether a container's waiting reason means that its image cannot be pulled (kubernetes,
// pkg/kubelet/images/types.go).
func PullFails(reason string) bool { return reason == "ErrImagePull" || reason == "ImagePullBackOff" }

// Active selects the pods that have not ended.
func Active() fields.Selector {
	const phase = "status.phase"
	return fields.AndSelectors(
		fields.OneTermNotEqualSelector(phase, string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector(phase, string(corev1.PodFailed)))
}
