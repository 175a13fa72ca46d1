package podmanifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readJSON returns the trees of a sequence of JSON documents in text, which begins at the given line of the file. If it returns
// an error, it also returns the documents before the error. The YAML parser cannot read JSON, because it does not know all of
// JSON's escape sequences.
func readJSON(file, text string, line int) ([]*yaml.Node, error) {
	var trees []*yaml.Node
	reader := newJSONReader(text, line)
	for {
		root, err := reader.value(0)
		if errors.Is(err, io.EOF) {
			return trees, nil
		}
		if err != nil {
			return trees, errorAt(file, reader.line, "not JSON: %w", err)
		}
		trees = append(trees, &yaml.Node{Kind: yaml.DocumentNode, Line: root.Line, Content: []*yaml.Node{root}})
	}
}

// fromValue returns the tree of value's JSON encoding.
func fromValue(value any) (*yaml.Node, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return newJSONReader(string(text), 0).value(0)
}

// jsonReader parses JSON into trees in block style. It keeps the order of keys and the line numbers.
type jsonReader struct {
	tokens *json.Decoder
	text   string
	offset int64 // position in text up to which lines have been counted
	line   int   // line in the file at offset
}

// newJSONReader returns a reader for text, which begins at the given line of the file.
func newJSONReader(text string, line int) *jsonReader {
	tokens := json.NewDecoder(strings.NewReader(text))
	tokens.UseNumber()
	return &jsonReader{tokens: tokens, text: text, line: line}
}

// token returns the next token and updates the line number.
func (r *jsonReader) token() (json.Token, error) {
	token, err := r.tokens.Token()
	offset := r.tokens.InputOffset()
	r.line += strings.Count(r.text[r.offset:offset], "\n")
	r.offset = offset
	return token, err
}

// value returns the next value, which is depth levels deep. At the end of text it returns io.EOF.
func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels deep", maxDepth)
	}
	switch token {
	case json.Delim('{'):
		return r.content(yaml.MappingNode, "!!map", depth)
	case json.Delim('['):
		return r.content(yaml.SequenceNode, "!!seq", depth)
	}
	return r.scalar(token)
}

// content returns the mapping or sequence whose opening token has been read. A mapping's content is a list of keys and values in
// turn.
func (r *jsonReader) content(kind yaml.Kind, tag string, depth int) (*yaml.Node, error) {
	node := &yaml.Node{Kind: kind, Tag: tag, Line: r.line}
	for r.tokens.More() {
		value, err := r.value(depth + 1)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, value)
	}
	if _, err := r.token(); errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return node, nil
}

// scalar returns the node for a string, number, boolean or null. It quotes a string if YAML 1.1 or 1.2 requires it.
func (r *jsonReader) scalar(token json.Token) (*yaml.Node, error) {
	node := &yaml.Node{}
	if number, ok := token.(json.Number); ok {
		node.Kind, node.Value = yaml.ScalarNode, number.String()
	} else if err := node.Encode(token); err != nil {
		return nil, err
	}
	node.Line = r.line
	return node, nil
}
