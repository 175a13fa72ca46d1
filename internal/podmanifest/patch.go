package podmanifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"gomodules.xyz/jsonpatch/v2"
)

// errNotFound is returned if a pointer leads to a missing field or entry.
var errNotFound = errors.New("no such field or entry")

// Apply applies a JSON Patch (RFC 6902), written for the template's pod, to the document. It supports the operations add,
// replace and test. If one operation fails, the document stays unchanged. Comments, order and unknown fields are kept; aliases
// are replaced with their values.
//
// Unlike an admitted pod, the manifest may omit metadata, and fields that have defaults, such as the pull policy. Apply
// therefore adds metadata if needed, and replace adds a field that is missing in a mapping.
func (t *Template) Apply(patch []jsonpatch.Operation) error {
	pod := clone(t.node)
	for _, operation := range patch {
		if err := apply(pod, operation); err != nil {
			return errorAt(t.File, t.Line, "%s: %s %s: %w", titleOf(t.Kind, t.Name), operation.Operation, operation.Path, err)
		}
	}
	if len(patch) > 0 {
		*t.node = *pod
		t.document.changed = true
	}
	return nil
}

// apply applies one operation to a pod.
func apply(pod *yaml.Node, operation jsonpatch.Operation) error {
	keys, err := parsePointer(operation.Path)
	if err != nil {
		return err
	}
	value, err := fromValue(operation.Value)
	if err != nil {
		return err
	}
	if keys[0] == "metadata" && len(keys) > 1 {
		ensureMetadata(pod)
	}
	parent, last := pod, len(keys)-1
	for _, key := range keys[:last] {
		if parent, err = child(parent, key); err != nil {
			return err
		}
	}
	switch operation.Operation {
	case "add":
		return add(parent, keys[last], value)
	case "replace":
		return replace(parent, keys[last], value)
	case "test":
		return test(parent, keys[last], value)
	}
	return errors.New("unsupported operation: want add, replace or test")
}

// parsePointer returns the keys in a JSON Pointer (RFC 6901) to a field in a pod.
func parsePointer(pointer string) ([]string, error) {
	rest, found := strings.CutPrefix(pointer, "/")
	if !found {
		return nil, errors.New("not a pointer to a field")
	}
	keys := strings.Split(rest, "/")
	for i := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(keys[i])
	}
	return keys, nil
}

// ensureMetadata adds empty metadata before the pod's spec if the pod has no metadata.
func ensureMetadata(pod *yaml.Node) {
	empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	switch found := member(pod, "metadata"); {
	case found == nil:
		pod.Content = slices.Insert(pod.Content, max(indexOfKey(pod, "spec"), 0), keyNode("metadata"), empty)
	case isNull(found):
		overwrite(found, empty)
	}
}

// child returns the value at key in a mapping or sequence.
func child(parent *yaml.Node, key string) (*yaml.Node, error) {
	if parent.Kind == yaml.SequenceNode {
		index, err := indexOf(key, len(parent.Content)-1)
		if err != nil {
			return nil, err
		}
		return parent.Content[index], nil
	}
	if found := member(parent, key); found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: %s", errNotFound, key)
}

// indexOf parses key as an index from 0 to last. It returns errNotFound if key is not such an index.
func indexOf(key string, last int) (int, error) {
	index, err := strconv.Atoi(key)
	if err != nil || strconv.Itoa(index) != key || index < 0 || index > last {
		return 0, fmt.Errorf("%w: %s", errNotFound, key)
	}
	return index, nil
}

// add sets key in a mapping, or inserts value into a sequence. It inserts value before the entry at key, or at the end if key
// is "-".
func add(parent *yaml.Node, key string, value *yaml.Node) error {
	if parent.Kind != yaml.SequenceNode {
		return replace(parent, key, value)
	}
	end := len(parent.Content)
	if key == "-" {
		key = strconv.Itoa(end)
	}
	index, err := indexOf(key, end)
	if err != nil {
		return err
	}
	openBlock(parent)
	parent.Content = slices.Insert(parent.Content, index, value)
	return nil
}

// replace sets key in a mapping, even if key is missing, or replaces an entry in a sequence.
func replace(parent *yaml.Node, key string, value *yaml.Node) error {
	found, err := child(parent, key)
	switch {
	case err == nil:
		overwrite(found, value)
	case parent.Kind == yaml.MappingNode:
		openBlock(parent)
		parent.Content = append(parent.Content, keyNode(key), value)
	default:
		return err
	}
	return nil
}

// test returns an error if the value at key differs from value.
func test(parent *yaml.Node, key string, value *yaml.Node) error {
	found, err := child(parent, key)
	if err != nil {
		return err
	}
	got, err := plain(found)
	if err != nil {
		return err
	}
	want, err := plain(value)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("value is %v, want %v", got, want)
	}
	return nil
}

// plain converts a tree into the value that json.Unmarshal would store in an any.
func plain(node *yaml.Node) (any, error) {
	text, err := toJSON(node)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal(text, &value)
	return value, err
}

// overwrite replaces old with value. It keeps old's comments and, if both are strings, old's quotes.
func overwrite(old, value *yaml.Node) {
	const quotes = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	if value.Kind == yaml.ScalarNode && value.Tag == stringTag && value.Style == 0 {
		value.Style = old.Style & quotes
	}
	keepComments(value, old)
	value.Line = old.Line
	*old = *value
}

// openBlock switches an empty mapping or sequence, written {} or [], to block style.
func openBlock(node *yaml.Node) {
	if len(node.Content) == 0 {
		node.Style &^= yaml.FlowStyle
		node.Column = 0 // marks it as not read from the text
	}
}

// keyNode returns a node for a key in a mapping.
func keyNode(key string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(key)
	return node
}
