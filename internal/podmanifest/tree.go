package podmanifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// nullTag and stringTag are tags that the parser gives.
const nullTag, stringTag = "!!null", "!!str"

// clone returns a copy of a tree without aliases.
func clone(node *yaml.Node) *yaml.Node {
	copied := *node
	copied.Content = make([]*yaml.Node, len(node.Content))
	for i, item := range node.Content {
		copied.Content[i] = clone(item)
	}
	return &copied
}

// keepComments gives node the comments of the one whose place it takes.
func keepComments(node, old *yaml.Node) {
	node.HeadComment, node.LineComment, node.FootComment = old.HeadComment, old.LineComment, old.FootComment
}

// isNull says whether a node is null, or an empty value.
func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == nullTag }

// at returns the value that is reached by keys, or nil.
func at(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		node = member(node, key)
	}
	return node
}

// member returns the value of key in node, or nil where node is no mapping (or nil) or has no such key.
func member(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	if i := indexOfKey(node, key); i >= 0 {
		return node.Content[i+1]
	}
	return nil
}

// indexOfKey returns where key stands in the content of a mapping, or -1.
func indexOfKey(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// stringAt returns the scalar that is reached by keys, or "".
func stringAt(node *yaml.Node, keys ...string) string {
	found := at(node, keys...)
	if found == nil || found.Kind != yaml.ScalarNode || isNull(found) {
		return ""
	}
	return found.Value
}

// toJSON returns a tree in JSON, with scalars as kubectl understands them: by YAML 1.1, so that yes is true.
func toJSON(node *yaml.Node) ([]byte, error) {
	text, err := yaml.Marshal(node)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return sigsyaml.YAMLToJSON(text)
}
