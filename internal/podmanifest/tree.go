package podmanifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// nullTag and stringTag are tags that the YAML parser sets.
const nullTag, stringTag = "!!null", "!!str"

// clone returns a copy of a tree. The tree must not contain aliases.
func clone(node *yaml.Node) *yaml.Node {
	copied := *node
	copied.Content = make([]*yaml.Node, len(node.Content))
	for i, item := range node.Content {
		copied.Content[i] = clone(item)
	}
	return &copied
}

// keepComments copies old's comments to node, which replaces old.
func keepComments(node, old *yaml.Node) {
	node.HeadComment, node.LineComment, node.FootComment = old.HeadComment, old.LineComment, old.FootComment
}

// isNull reports whether a node is null or has an empty value.
func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == nullTag }

// at returns the value at a path of keys, or nil if there is none.
func at(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		node = member(node, key)
	}
	return node
}

// member returns the value of key in node. It returns nil if node is nil, is not a mapping or does not have the key.
func member(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	if i := indexOfKey(node, key); i >= 0 {
		return node.Content[i+1]
	}
	return nil
}

// indexOfKey returns the index of key in mapping.Content. It returns -1 if the mapping does not have the key.
func indexOfKey(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// stringAt returns the scalar at a path of keys, or "" if there is none.
func stringAt(node *yaml.Node, keys ...string) string {
	found := at(node, keys...)
	if found == nil || found.Kind != yaml.ScalarNode || isNull(found) {
		return ""
	}
	return found.Value
}

// toJSON encodes a tree as JSON. Scalars mean the same as in kubectl, which follows YAML 1.1. For example, yes is true.
func toJSON(node *yaml.Node) ([]byte, error) {
	text, err := yaml.Marshal(node)
	if err != nil {
		return nil, fmt.Errorf("encoding YAML: %w", err)
	}
	return sigsyaml.YAMLToJSON(text)
}
