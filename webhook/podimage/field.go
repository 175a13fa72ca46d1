package podimage

import (
	"fmt"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// Field is one place in a pod that names an image.
type Field struct {
	// Path is the field as Kubernetes writes it in Events, such as spec.containers{app}.
	Path string
	// Image is the reference that stands there.
	Image string
	// PullPolicy says when the kubelet pulls it.
	PullPolicy corev1.PullPolicy

	// pointer is the container as a JSON Pointer (RFC 6901), such as /spec/containers/0.
	pointer string
}

// Fields returns every field of the pod that names an image: those of init containers and of containers.
func Fields(pod *corev1.Pod) []Field {
	fields := containers("initContainers", pod.Spec.InitContainers)
	return append(fields, containers("containers", pod.Spec.Containers)...)
}

// containers returns the fields of one list of containers, which is called list in the pod's spec.
func containers(list string, of []corev1.Container) []Field {
	fields := make([]Field, 0, len(of))
	for i := range of {
		fields = append(fields, Field{
			Path:       fmt.Sprintf("spec.%s{%s}", list, of[i].Name),
			Image:      of[i].Image,
			PullPolicy: of[i].ImagePullPolicy,
			pointer:    fmt.Sprintf("/spec/%s/%d", list, i),
		})
	}
	return fields
}

// TestImage returns the operation that holds the patch to the image that the field has now.
func (f Field) TestImage() jsonpatch.Operation {
	return jsonpatch.NewOperation("test", f.pointer+"/image", f.Image)
}

// ReplaceImage returns the operation that puts image into the field.
func (f Field) ReplaceImage(image string) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.pointer+"/image", image)
}

// ReplacePullPolicy returns the operation that puts policy into the field; it can change on creation only.
func (f Field) ReplacePullPolicy(policy corev1.PullPolicy) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.pointer+"/imagePullPolicy", policy)
}
