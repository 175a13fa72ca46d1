package podmanifest

import (
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"kind-local-registry/internal/rewrite"
)

// podKind is the kind of an object that is a pod itself.
const podKind = "Pod"

// pod returns the pod that a node of the object describes, as admission would see it.
func (o object) pod(node *yaml.Node) (*corev1.Pod, error) {
	text, err := toJSON(node)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(text, pod); err != nil {
		return nil, err
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: podKind}
	pod.Namespace = o.namespace
	if node != o.node {
		// Controllers name their pods themselves.
		pod.Name, pod.GenerateName = "", o.name+"-"
	}
	setPullPolicies(&pod.Spec)
	return pod, nil
}

// setPullPolicies sets the pull policies that are not written, as the API server does.
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

// setPullPolicy sets an empty policy to the default for the image, see rewrite.AlwaysByDefault.
func setPullPolicy(policy *corev1.PullPolicy, image string) {
	if *policy != "" {
		return
	}
	*policy = corev1.PullIfNotPresent
	if rewrite.AlwaysByDefault(image) {
		*policy = corev1.PullAlways
	}
}
