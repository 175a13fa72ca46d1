package podmanifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"kind-local-registry/internal/yamltext"
)

// indentation is the number of spaces per level.
const indentation = 2

// Write writes the documents, in order, as one YAML stream.
//
// An unchanged YAML document is written as it was read, including blank lines. A changed document keeps its comments, order,
// quotes and the indentation of its sequences; its aliases are replaced with their values. A JSON document is written as YAML
// in block style, so the whole stream is YAML.
func Write(w io.Writer, documents []*Document) error {
	var out bytes.Buffer
	for _, document := range documents {
		text, err := document.encode()
		if err != nil {
			return errorAt(document.File, document.Line, "encoding YAML: %w", err)
		}
		if out.Len() > 0 && !yamltext.Separates(text) {
			out.WriteString(yamltext.Separator + "\n")
		}
		out.WriteString(text)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("writing manifests: %w", err)
	}
	return nil
}

// encode returns the document as YAML.
func (d *Document) encode() (string, error) {
	if d.root == nil || !d.changed && d.text != "" {
		return d.text, nil
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(indentation)
	if !indentsSequences(d.root) {
		encoder.CompactSeqIndent()
	}
	err := errors.Join(encoder.Encode(d.tree), encoder.Close())
	return out.String(), err
}

// indentsSequences reports whether the first sequence in the tree is indented relative to its key. Both styles are common:
// people usually indent sequences; kubectl and most charts do not.
func indentsSequences(node *yaml.Node) bool {
	sequence, key := firstSequence(node)
	return sequence != nil && sequence.Column > key.Column
}

// firstSequence returns the first sequence in block style that is a key's value. It also returns that key. It ignores sequences
// that were added after reading.
func firstSequence(node *yaml.Node) (sequence, key *yaml.Node) {
	for i, item := range node.Content {
		block := item.Kind == yaml.SequenceNode && item.Style&yaml.FlowStyle == 0 && item.Column > 0
		if block && node.Kind == yaml.MappingNode && i%2 == 1 {
			return item, node.Content[i-1]
		}
		if sequence, key := firstSequence(item); sequence != nil {
			return sequence, key
		}
	}
	return nil, nil
}
