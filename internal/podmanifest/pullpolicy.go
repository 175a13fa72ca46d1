package podmanifest

import (
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/internal/rewrite"
)

// setPullPolicies sets missing pull policies to their defaults, as the API server does.
func setPullPolicies(spec *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			setPullPolicy(&containers[i].ImagePullPolicy, containers[i].Image)
		}
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			setPullPolicy(&image.PullPolicy, image.Reference)
		}
	}
}

// setPullPolicy sets a missing policy to the image's default; see rewrite.AlwaysByDefault.
func setPullPolicy(policy *corev1.PullPolicy, image string) {
	if *policy != "" {
		return
	}
	*policy = corev1.PullIfNotPresent
	if rewrite.AlwaysByDefault(image) {
		*policy = corev1.PullAlways
	}
}
