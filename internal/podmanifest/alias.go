package podmanifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth is the maximum number of levels in a document. Kubernetes objects have tens of levels.
	maxDepth = 500
	// maxAliased is the maximum number of nodes that aliases may add to a document. More nodes indicate an attack: nine anchors
	// with nine aliases each expand to hundreds of millions of nodes.
	maxAliased = 100_000
	// mergeTag is the tag of a merge key, << (https://yaml.org/type/merge.html).
	mergeTag = "!!merge"
)

// expander copies trees and replaces each alias and merge key with a copy of its value. Changing one copy does not affect the
// other places that used the same anchor.
type expander struct {
	file    string
	offset  int // added to each line
	aliased int // number of nodes copied for aliases so far
}

// expand returns an expanded copy of node, which is depth levels deep.
func (e *expander) expand(node *yaml.Node, depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, e.errorAt(node, "more than %d levels deep, or an anchor that contains itself", maxDepth)
	}
	if node.Kind == yaml.AliasNode {
		return e.alias(node, depth)
	}
	expanded := *node
	expanded.Line += e.offset
	expanded.Anchor = ""
	expanded.Content = nil
	if node.Kind == yaml.MappingNode {
		return &expanded, e.mapping(&expanded, node.Content, depth)
	}
	for _, item := range node.Content {
		value, err := e.expand(item, depth+1)
		if err != nil {
			return nil, err
		}
		expanded.Content = append(expanded.Content, value)
	}
	return &expanded, nil
}

// alias returns a copy of the alias's value, with the alias's own comments.
func (e *expander) alias(alias *yaml.Node, depth int) (*yaml.Node, error) {
	e.aliased += size(alias.Alias, maxAliased)
	if e.aliased > maxAliased {
		return nil, e.errorAt(alias, "aliases (*%s here) expand to more than %d nodes; write the document without aliases", alias.Value, maxAliased)
	}
	expanded, err := e.expand(alias.Alias, depth+1)
	if err != nil {
		return nil, err
	}
	keepComments(expanded, alias)
	expanded.Line = alias.Line + e.offset
	return expanded, nil
}

// mapping fills a mapping with copies of pairs, which lists keys and values in turn. As in kubectl, the last of duplicate keys
// wins, and a merge key overrides the keys above it.
func (e *expander) mapping(mapping *yaml.Node, pairs []*yaml.Node, depth int) error {
	places := map[string]int{}
	set := func(key, value *yaml.Node) {
		if i, known := places[key.Value]; known {
			mapping.Content[i+1] = value
			return
		}
		places[key.Value] = len(mapping.Content)
		mapping.Content = append(mapping.Content, key, value)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, err := e.expand(pairs[i], depth+1)
		if err != nil {
			return err
		}
		value, err := e.expand(pairs[i+1], depth+1)
		switch {
		case err != nil:
			return err
		case key.Kind != yaml.ScalarNode:
			return e.errorAt(pairs[i], "a key that is not a string%s", templateHint(pairs[i]))
		case key.Tag != mergeTag:
			set(key, value)
		default:
			if err := e.merge(value, set); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge sets each key in a merge key's value. The value is a mapping or a sequence of mappings. If several mappings in a sequence
// contain a key, the first one wins.
func (e *expander) merge(value *yaml.Node, set func(key, value *yaml.Node)) error {
	mappings := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		mappings = slices.Clone(value.Content)
		slices.Reverse(mappings)
	}
	for _, mapping := range mappings {
		if mapping.Kind != yaml.MappingNode {
			return errorAt(e.file, value.Line, "the value of a merge key (<<) is not a mapping")
		}
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			set(mapping.Content[i], mapping.Content[i+1])
		}
	}
	return nil
}

// errorAt returns an error about a node in the original tree.
func (e *expander) errorAt(node *yaml.Node, format string, values ...any) error {
	return errorAt(e.file, node.Line+e.offset, format, values...)
}

// templateHint returns advice for a key that is a mapping, because YAML reads a template's {{ .Values.x }} as such a key.
func templateHint(key *yaml.Node) string {
	if key.Kind == yaml.MappingNode && key.Style&yaml.FlowStyle != 0 {
		return ": this is a template; render it first, for example with helm template"
	}
	return ""
}

// size returns the number of nodes in the tree. It does not follow aliases, and stops counting just above limit.
func size(node *yaml.Node, limit int) int {
	nodes := 1
	for _, item := range node.Content {
		if nodes > limit {
			break
		}
		nodes += size(item, limit-nodes)
	}
	return nodes
}
