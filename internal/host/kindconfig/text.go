package kindconfig

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kind-local-registry/internal/yamltext"
)

// errText means that a text cannot be changed line by line.
var errText = errors.New("unusual layout")

// part is one YAML document's text.
type part yamltext.Part

// insert returns the part's text with lines inserted for the patches. All other lines stay as they are. root is the document's
// mapping.
func (p part) insert(root *yaml.Node, added []addition) (string, error) {
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 {
		return "", errText
	}
	lines, newline := p.lines()
	var atEnd []string
	inserted := map[int][]string{} // keyed by the number of the line before
	for _, one := range added {
		key, value := member(root, one.field)
		switch {
		case key == nil:
			indent := strings.Repeat(" ", root.Column-1)
			atEnd = append(atEnd, indent+one.field+":"+newline)
			atEnd = append(atEnd, item(indent, one.patch, newline)...)
		case value.Kind == yaml.SequenceNode && value.Style&yaml.FlowStyle == 0 && len(value.Content) > 0:
			inserted[key.Line] = item(strings.Repeat(" ", value.Column-1), one.patch, newline)
		case value.Kind == yaml.ScalarNode && value.Value == "":
			inserted[key.Line] = item(strings.Repeat(" ", key.Column-1), one.patch, newline)
		default:
			return "", errText
		}
	}
	var text strings.Builder
	for i, line := range lines {
		text.WriteString(line)
		text.WriteString(strings.Join(inserted[i+1], ""))
	}
	text.WriteString(strings.Join(atEnd, ""))
	return text.String(), nil
}

// lines returns the part's lines, each with a line end, and that line end.
func (p part) lines() (lines []string, newline string) {
	lines, newline = slices.Collect(strings.Lines(p.Text)), "\n"
	if strings.HasSuffix(lines[0], "\r\n") {
		newline = "\r\n"
	}
	if last := len(lines) - 1; !strings.HasSuffix(lines[last], "\n") {
		lines[last] += newline
	}
	return lines, newline
}

// item returns the lines of a sequence's entry that contains a patch.
func item(indent, patch, newline string) []string {
	lines := []string{indent + "- |" + newline}
	for line := range strings.Lines(patch) {
		lines = append(lines, indent+"  "+strings.TrimSuffix(line, "\n")+newline)
	}
	return lines
}

// encode adds the patches to the document's mapping and returns the document's new text. It keeps comments and order, but not blank
// lines and indentation.
func (p part) encode(root *yaml.Node, added []addition) (string, error) {
	if root.Kind != yaml.MappingNode {
		return "", errText
	}
	root.Style &^= yaml.FlowStyle
	for _, one := range added {
		key, value := member(root, one.field)
		if key == nil {
			key, value = &yaml.Node{}, &yaml.Node{}
			key.SetString(one.field)
			root.Content = append(root.Content, key, value)
		}
		if value.Kind == yaml.AliasNode {
			*value = yaml.Node{Kind: yaml.SequenceNode, Content: slices.Clone(value.Alias.Content)}
		}
		if value.Kind != yaml.SequenceNode {
			*value = yaml.Node{Kind: yaml.SequenceNode}
		}
		value.Style &^= yaml.FlowStyle
		patch := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: one.patch, Style: yaml.LiteralStyle}
		value.Content = slices.Insert(value.Content, 0, patch)
	}
	var text bytes.Buffer
	if yamltext.Separates(p.Text) {
		text.WriteString(yamltext.Separator + "\n")
	}
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(root), encoder.Close())
	return text.String(), err
}

// member returns the key and the value of a field in a mapping, or nil if it has none.
func member(mapping *yaml.Node, field string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == field {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}
