package podmanifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// indentation is by how many blanks a level is indented.
const indentation = 2

// Write writes the documents, in their order, as one stream of YAML.
//
// A document that was not changed is written as it was read, blank lines included. A changed one keeps comments, order,
// quotes, and whether its sequences are indented; of its anchors, what they stand for. A JSON document becomes YAML in
// block style, so that the stream is of one language.
func Write(w io.Writer, documents []*Document) error {
	var out bytes.Buffer
	for _, document := range documents {
		text, err := document.encode()
		if err != nil {
			return errorAt(document.File, document.Line, "writing YAML: %w", err)
		}
		if out.Len() > 0 && !separates(text) {
			out.WriteString(separator + "\n")
		}
		out.WriteString(text)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("writing manifests: %w", err)
	}
	return nil
}

// encode returns the document in YAML.
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

// indentsSequences says whether the first sequence of a mapping in the tree is indented below its key. Both are usual:
// people write them so, kubectl and most charts do not.
func indentsSequences(node *yaml.Node) bool {
	sequence, key := firstSequence(node)
	return sequence != nil && sequence.Column > key.Column
}

// firstSequence returns the first sequence in block style that was read, not added, as the value of a key; and the key.
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
