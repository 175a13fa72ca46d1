package podmanifest

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
)

// Template is a pod, or a pod template, in a document.
type Template struct {
	// Kind and Name describe the object that contains the template, for example Deployment and web. If the object has no name, Name
	// is its generateName.
	Kind, Name string
	// File and Line are the position where the template begins. Lines are counted from 1.
	File string
	Line int
	// Pod is the pod as the API server would send it to an admission webhook, with default pull policies. Its namespace is "" if the
	// object has none. Apply does not change Pod; call Templates again to get the changed pod.
	Pod *corev1.Pod

	document *Document
	node     *yaml.Node // the mapping with metadata and spec
}

// Templates returns the pods in the document's objects. If an object's kind is Pod, the object itself is the pod. Otherwise,
// everything below the object that has a spec with containers is a pod, at any depth. Each item of a list is an object.
//
// If a pod cannot be decoded, for example because containers is not a sequence, Templates returns an error with the file and
// the line. It joins the errors and also returns the valid templates.
func (d *Document) Templates() ([]*Template, error) {
	var templates []*Template
	var faults []error
	for _, object := range objectsOf(d.root, "") {
		for _, node := range object.pods() {
			template, err := d.template(object, node)
			faults = append(faults, err)
			if err == nil {
				templates = append(templates, template)
			}
		}
	}
	return templates, errors.Join(faults...)
}

// template returns the template at a node of object.
func (d *Document) template(object object, node *yaml.Node) (*Template, error) {
	pod, err := object.pod(node)
	if err != nil {
		return nil, errorAt(d.File, node.Line, "%s: the API server would refuse this pod: %w", titleOf(object.kind, object.name), err)
	}
	return &Template{
		Kind: object.kind, Name: object.name, File: d.File, Line: node.Line,
		Pod: pod, document: d, node: node,
	}, nil
}

// object is one Kubernetes object in a document.
type object struct {
	kind, name, namespace string
	node                  *yaml.Node
}

// objectsOf returns the object at a node. If that object is a list, objectsOf returns its items. Items of a typed list, such as
// PodList, need no kind.
func objectsOf(node *yaml.Node, kind string) []object {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	if own := stringAt(node, "kind"); own != "" {
		kind = own
	}
	of, list := strings.CutSuffix(kind, "List")
	if items := member(node, "items"); list && items != nil {
		var objects []object
		for _, item := range items.Content {
			objects = append(objects, objectsOf(item, of)...)
		}
		return objects
	}
	name := stringAt(node, "metadata", "name")
	if name == "" {
		name = stringAt(node, "metadata", "generateName")
	}
	return []object{{kind: kind, name: name, namespace: stringAt(node, "metadata", "namespace"), node: node}}
}

// titleOf returns an object's name for an error, such as Deployment web.
func titleOf(kind, name string) string { return strings.TrimSpace(kind + " " + name) }

// pods returns the nodes of all pods and pod templates in the object.
func (o object) pods() []*yaml.Node {
	if o.kind == podKind {
		return []*yaml.Node{o.node}
	}
	var found []*yaml.Node
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		if key := o.node.Content[i].Value; key != "metadata" && key != "status" {
			found = append(found, templatesBelow(o.node.Content[i+1])...)
		}
	}
	return found
}

// templatesBelow returns node if it is a pod template. Otherwise it returns the pod templates below node.
func templatesBelow(node *yaml.Node) []*yaml.Node {
	if at(node, "spec", "containers") != nil {
		return []*yaml.Node{node}
	}
	var found []*yaml.Node
	for _, item := range node.Content {
		found = append(found, templatesBelow(item)...)
	}
	return found
}
