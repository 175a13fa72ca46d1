package podmanifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth is how many levels a document may have. Kubernetes objects have some tens.
	maxDepth = 500
	// maxAliased is how many nodes a document may gain by its aliases. What is beyond is no manifest, but an attack:
	// nine anchors of nine aliases each make hundreds of millions of nodes.
	maxAliased = 100_000
	// mergeTag is that of a merge key, <<: see https://yaml.org/type/merge.html.
	mergeTag = "!!merge"
)

// expander copies trees and puts in, for each alias and merge key, what it stands for. So whoever changes a tree
// changes one place, and nothing else that names the same anchor.
type expander struct {
	file    string
	offset  int // is added to each line
	aliased int // how many nodes have been copied for aliases
}

// expand returns a copy of node, which stands depth levels deep.
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

// alias returns a copy of what the alias names, with the alias's own comments.
func (e *expander) alias(alias *yaml.Node, depth int) (*yaml.Node, error) {
	e.aliased += size(alias.Alias, maxAliased)
	if e.aliased > maxAliased {
		return nil, e.errorAt(alias, "aliases (*%s here) that stand for more than %d nodes: write the document out", alias.Value, maxAliased)
	}
	expanded, err := e.expand(alias.Alias, depth+1)
	if err != nil {
		return nil, err
	}
	keepComments(expanded, alias)
	expanded.Line = alias.Line + e.offset
	return expanded, nil
}

// mapping fills a mapping with copies of pairs, keys and values in turn. As with kubectl the last of equal keys counts,
// and so a merge key comes before what is written above it.
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
			return e.errorAt(pairs[i], "a key that is no string%s", templateHint(pairs[i]))
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

// merge sets each key of a merge key's value: a mapping, or a sequence of which the first mapping counts most.
func (e *expander) merge(value *yaml.Node, set func(key, value *yaml.Node)) error {
	mappings := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		mappings = slices.Clone(value.Content)
		slices.Reverse(mappings)
	}
	for _, mapping := range mappings {
		if mapping.Kind != yaml.MappingNode {
			return errorAt(e.file, value.Line, "a merge key (<<) of what is no mapping")
		}
		for i := 0; i+1 < len(mapping.Content); i += 2 {
			set(mapping.Content[i], mapping.Content[i+1])
		}
	}
	return nil
}

// errorAt returns an error about a node that has not been copied.
func (e *expander) errorAt(node *yaml.Node, format string, values ...any) error {
	return errorAt(e.file, node.Line+e.offset, format, values...)
}

// templateHint says what to do about a key that is a mapping: {{ .Values.x }} is one to YAML.
func templateHint(key *yaml.Node) string {
	if key.Kind == yaml.MappingNode && key.Style&yaml.FlowStyle != 0 {
		return ": this is a template; give what it renders to, as with helm template"
	}
	return ""
}

// size returns how many nodes the tree below node has, without those behind aliases, but no more than just above limit.
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
