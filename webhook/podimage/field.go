package podimage

import (
	"fmt"
	"strings"

	"kind-local-registry/internal/rewrite"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// Field is a field of a pod that names an image.
type Field struct {
	// Path is the field as Kubernetes writes it in Events, such as spec.containers{app}.
	Path string
	// Image is the reference in the field.
	Image string
	// PullPolicy is the field's imagePullPolicy.
	PullPolicy corev1.PullPolicy
	// Final reports whether the API server allows no other image there later: it is an image volume or an ephemeral container.
	Final bool

	// imagePointer and policyPointer are JSON Pointers (RFC 6901), such as /spec/containers/0/image.
	imagePointer, policyPointer string
}

// Fields returns every field of a new pod that names an image: those of init containers, containers and image volumes.
func Fields(pod *corev1.Pod) []Field {
	fields := make([]Field, 0, len(pod.Spec.InitContainers)+len(pod.Spec.Containers))
	for i := range pod.Spec.InitContainers {
		fields = append(fields, containerField("initContainers", i, &pod.Spec.InitContainers[i]))
	}
	for i := range pod.Spec.Containers {
		fields = append(fields, containerField("containers", i, &pod.Spec.Containers[i]))
	}
	for i := range pod.Spec.Volumes {
		if volume := &pod.Spec.Volumes[i]; volume.Image != nil {
			fields = append(fields, volumeField(i, volume))
		}
	}
	return fields
}

// NewEphemeral returns the fields of the ephemeral containers that pod has and old, the pod before, lacks. The API server
// refuses a change of any other (KEP-277).
func NewEphemeral(pod, old *corev1.Pod) []Field {
	known := map[string]bool{}
	for i := range old.Spec.EphemeralContainers {
		known[old.Spec.EphemeralContainers[i].Name] = true
	}
	var fields []Field
	for i := range pod.Spec.EphemeralContainers {
		container := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if !known[container.Name] {
			field := containerField("ephemeralContainers", i, &container)
			field.Final = true
			fields = append(fields, field)
		}
	}
	return fields
}

// Updated returns the fields of the containers whose image an update changes. An update can change no other image.
func Updated(pod, old *corev1.Pod) []Field {
	before := map[string]string{}
	for _, field := range Fields(old) {
		before[field.Path] = field.Image
	}
	var fields []Field
	for _, field := range Fields(pod) {
		if image, known := before[field.Path]; known && image != field.Image && !field.Final {
			fields = append(fields, field)
		}
	}
	return fields
}

// containerField returns the field of container i of that list in the pod's spec.
func containerField(list string, i int, container *corev1.Container) Field {
	pointer := fmt.Sprintf("/spec/%s/%d", list, i)
	return Field{
		Path:          "spec." + list + "{" + container.Name + "}",
		Image:         container.Image,
		PullPolicy:    container.ImagePullPolicy,
		imagePointer:  pointer + "/image",
		policyPointer: pointer + "/imagePullPolicy",
	}
}

// volumeField returns the field of the pod's volume i, an image volume (KEP-4639).
func volumeField(i int, volume *corev1.Volume) Field {
	pointer := fmt.Sprintf("/spec/volumes/%d/image", i)
	return Field{
		Path:          "spec.volumes{" + volume.Name + "}",
		Image:         volume.Image.Reference,
		PullPolicy:    volume.Image.PullPolicy,
		Final:         true,
		imagePointer:  pointer + "/reference",
		policyPointer: pointer + "/pullPolicy",
	}
}

// Always reports whether the kubelet checks the image at its registry before each start: imagePullPolicy is Always, by the
// author or by default.
func (f Field) Always() bool {
	if f.PullPolicy != "" {
		return f.PullPolicy == corev1.PullAlways
	}
	return rewrite.AlwaysByDefault(f.Image)
}

// With returns the field with another image.
func (f Field) With(image string) Field {
	f.Image = image
	return f
}

// Untagged returns a reference with tag and digest without its tag, which means nothing beside a digest.
func Untagged(image string) string {
	name, digest, found := strings.Cut(image, "@")
	tag := strings.LastIndexByte(name, ':')
	if !found || tag < strings.LastIndexByte(name, '/') {
		return image
	}
	return name[:tag] + "@" + digest
}

// TestImage returns the operation that makes a patch fail if the field has another image by then.
func (f Field) TestImage() jsonpatch.Operation {
	return jsonpatch.NewOperation("test", f.imagePointer, f.Image)
}

// ReplaceImage returns the operation that sets the image.
func (f Field) ReplaceImage(image string) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.imagePointer, image)
}

// ReplacePullPolicy returns the operation that sets imagePullPolicy, which can change on creation only.
func (f Field) ReplacePullPolicy(policy corev1.PullPolicy) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.policyPointer, policy)
}
