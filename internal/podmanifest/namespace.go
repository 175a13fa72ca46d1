package podmanifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// NamespaceLabels returns the labels of each namespace that the documents make, by its name, with the one that the API
// server adds. A namespace that the API server would refuse, as with labels that are no strings, is left out.
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
