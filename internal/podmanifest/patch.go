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

// errNoSuchPlace says that a pointer leads nowhere.
var errNoSuchPlace = errors.New("no such field or entry")

// Apply carries out a JSON Patch (RFC 6902) that was made for the template's pod: add, replace and test. Either all of
// it is carried out, or nothing. Comments, order and fields that nobody knows survive; of a document with anchors, what
// they stand for.
//
// The manifest need not say what a pod always has: metadata is made where something is added below it, and a field
// of a mapping is replaced also where it is not written, as with a pull policy that is left to its default.
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

// apply carries out one operation on a pod.
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
		makeMetadata(pod)
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
	return errors.New("an operation other than add, replace and test")
}

// parsePointer returns the keys of a JSON Pointer (RFC 6901) to something below a pod.
func parsePointer(pointer string) ([]string, error) {
	rest, found := strings.CutPrefix(pointer, "/")
	if !found {
		return nil, errors.New("a pointer to no field")
	}
	keys := strings.Split(rest, "/")
	for i := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(keys[i])
	}
	return keys, nil
}

// makeMetadata gives the pod metadata, before its spec, where it has none.
func makeMetadata(pod *yaml.Node) {
	empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	switch found := member(pod, "metadata"); {
	case found == nil:
		pod.Content = slices.Insert(pod.Content, max(indexOfKey(pod, "spec"), 0), keyNode("metadata"), empty)
	case isNull(found):
		takePlace(empty, found)
	}
}

// child returns the value at key of a mapping or sequence.
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
	return nil, fmt.Errorf("%w: %s", errNoSuchPlace, key)
}

// indexOf returns the index that key is, from 0 to last.
func indexOf(key string, last int) (int, error) {
	index, err := strconv.Atoi(key)
	if err != nil || strconv.Itoa(index) != key || index < 0 || index > last {
		return 0, fmt.Errorf("%w: %s", errNoSuchPlace, key)
	}
	return index, nil
}

// add puts value at key of a mapping, or into a sequence before the entry at key, or after all with the key "-".
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

// replace puts value at key of a mapping, be something there or not, or at an entry of a sequence.
func replace(parent *yaml.Node, key string, value *yaml.Node) error {
	found, err := child(parent, key)
	switch {
	case err == nil:
		takePlace(value, found)
	case parent.Kind == yaml.MappingNode:
		openBlock(parent)
		parent.Content = append(parent.Content, keyNode(key), value)
	default:
		return err
	}
	return nil
}

// test compares what is at key with value.
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
		return fmt.Errorf("it is %v, not %v", got, want)
	}
	return nil
}

// plain returns what a tree says, as encoding/json gives it.
func plain(node *yaml.Node) (any, error) {
	text, err := toJSON(node)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal(text, &value)
	return value, err
}

// takePlace makes old what value is, with the comments that old has and, of a string, its quotes.
func takePlace(value, old *yaml.Node) {
	const quotes = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	if value.Kind == yaml.ScalarNode && value.Tag == stringTag && value.Style == 0 {
		value.Style = old.Style & quotes
	}
	keepComments(value, old)
	value.Line = old.Line
	*old = *value
}

// openBlock has an empty mapping or sequence, which can only be written as {} or [], go on in block style.
func openBlock(node *yaml.Node) {
	if len(node.Content) == 0 {
		node.Style &^= yaml.FlowStyle
		node.Column = 0 // it stands nowhere yet
	}
}

// keyNode returns the key of a mapping.
func keyNode(key string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(key)
	return node
}
