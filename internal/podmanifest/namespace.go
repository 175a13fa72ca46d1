package podmanifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// NamespaceLabels returns the labels of each Namespace in the documents, by the Namespace's name. They include the label that
// the API server adds. A Namespace that the API server would reject, for example because its labels are not strings, is
// skipped.
func NamespaceLabels(documents []*Document) map[string]map[string]string {
	labels := map[string]map[string]string{}
	for _, document := range documents {
		for _, object := range objectsOf(document.root, "") {
			if object.kind != "Namespace" {
				continue
			}
			var namespace corev1.Namespace
			text, err := toJSON(object.node)
			if err != nil || json.Unmarshal(text, &namespace) != nil {
				continue
			}
			labels[namespace.Name] = map[string]string{corev1.LabelMetadataName: namespace.Name}
			for key, value := range namespace.Labels {
				labels[namespace.Name][key] = value
			}
		}
	}
	return labels
}
