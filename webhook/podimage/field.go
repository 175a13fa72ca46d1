package podimage

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
)

// Field is one of a pod's fields that name an image.
type Field struct {
	// Path is the field's path in the form that Kubernetes uses in Events, such as spec.containers{app}.
	Path string
	// Image is the reference in the field.
	Image string
	// PullPolicy is the field's imagePullPolicy.
	PullPolicy corev1.PullPolicy
	// Final reports whether the field belongs to an image volume or an ephemeral container. The API server does not allow changing
	// such an image later.
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

// All returns every field of an existing pod that names an image: the Fields, and those of its ephemeral containers.
func All(pod *corev1.Pod) []Field { return append(Fields(pod), NewEphemeral(pod, &corev1.Pod{})...) }

// NewEphemeral returns the image fields of the ephemeral containers that an update from old to pod adds. The API server does not
// allow changing the existing ones (KEP-277).
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

// Updated returns the image fields that an update from old to pod changes. Only images of containers and init containers can
// change in an update.
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

// containerField returns the image field of the container at index i in the given list of the pod's spec.
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

// volumePath begins the path of an image volume's field.
const volumePath = "spec.volumes{"

// IsVolume reports whether the field is an image volume's.
func (f Field) IsVolume() bool { return strings.HasPrefix(f.Path, volumePath) }

// volumeField returns the image field of the image volume (KEP-4639) at index i in the pod's volumes.
func volumeField(i int, volume *corev1.Volume) Field {
	pointer := fmt.Sprintf("/spec/volumes/%d/image", i)
	return Field{
		Path:          volumePath + volume.Name + "}",
		Image:         volume.Image.Reference,
		PullPolicy:    volume.Image.PullPolicy,
		Final:         true,
		imagePointer:  pointer + "/reference",
		policyPointer: pointer + "/pullPolicy",
	}
}

// Always reports whether the imagePullPolicy is Always, either explicitly or by default. With that policy, the kubelet asks the
// registry for the image before each start of the container.
func (f Field) Always() bool {
	if f.PullPolicy != "" {
		return f.PullPolicy == corev1.PullAlways
	}
	return rewrite.AlwaysByDefault(f.Image)
}

// With returns a copy of the field with the given image.
func (f Field) With(image string) Field {
	f.Image = image
	return f
}

// Untagged removes the tag from a reference that also has a digest. The digest alone determines the image.
func Untagged(image string) string {
	name, digest, found := strings.Cut(image, "@")
	tag := strings.LastIndexByte(name, ':')
	if !found || tag < strings.LastIndexByte(name, '/') {
		return image
	}
	return name[:tag] + "@" + digest
}

// TestImage returns the operation that makes the patch fail if the field's image has changed.
func (f Field) TestImage() jsonpatch.Operation {
	return jsonpatch.NewOperation("test", f.imagePointer, f.Image)
}

// ReplaceImage returns the operation that sets the image.
func (f Field) ReplaceImage(image string) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.imagePointer, image)
}

// ReplacePullPolicy returns the operation that sets imagePullPolicy. The API server allows this only while the pod is being
// created.
func (f Field) ReplacePullPolicy(policy corev1.PullPolicy) jsonpatch.Operation {
	return jsonpatch.NewOperation("replace", f.policyPointer, policy)
}
