package podmanifest

import (
	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// podKind is the kind of an object that is a pod itself.
const podKind = "Pod"

// pod returns the pod at node as an admission webhook would receive it.
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
		// Controllers generate their pods' names.
		pod.Name, pod.GenerateName = "", o.name+"-"
	}
	setPullPolicies(&pod.Spec)
	return pod, nil
}
