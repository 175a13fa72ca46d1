package rules

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader reads the value at a path in the document, such as images.exclude.
type reader func(path string, value *yaml.Node)

// fields maps the keys that a mapping may have to the readers of their values.
type fields map[string]reader

// rules reads the whole document into rules.
func (p *parser) rules(root *yaml.Node, rules *Rules) {
	p.mapping("", root, fields{
		"images":     p.selection(&rules.Images, checkImage),
		"namespaces": p.selection(&rules.Namespaces, checkPattern),
		"pods": func(path string, value *yaml.Node) {
			p.mapping(path, value, fields{"exclude": p.list(&rules.Pods.Exclude, checkSelector)})
		},
		"alwaysPull": p.alwaysPull(&rules.AlwaysPull),
		"prePush":    p.yesOrNo(&rules.PrePush),
		"restartOnRebuild": func(path string, value *yaml.Node) {
			p.mapping(path, value, fields{
				"images":     p.selection(&rules.RestartOnRebuild.Images, checkImage),
				"namespaces": p.selection(&rules.RestartOnRebuild.Namespaces, checkPattern),
			})
		},
		"loopGuard": func(path string, value *yaml.Node) {
			p.mapping(path, value, fields{
				"recreations": p.count(&rules.LoopGuard.Recreations),
				"within":      p.duration(&rules.LoopGuard.Within.Duration),
			})
		},
	})
}

// mapping reads the values in the mapping at a path. A key without a value is treated as missing.
func (p *parser) mapping(path string, node *yaml.Node, fields fields) {
	node = aliased(node)
	if node.Kind != yaml.MappingNode {
		p.fault(node.Line, "%s is %s, want keys and values", cmp.Or(path, "the document"), kind(node))
		return
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(node.Content, 2) {
		key, value := pair[0], pair[1]
		name := strings.TrimPrefix(path+"."+key.Value, ".")
		read, known := fields[key.Value]
		switch {
		case !known || key.Kind != yaml.ScalarNode:
			p.fault(key.Line, "unknown key %q: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case seen[key.Value]:
			p.fault(key.Line, "duplicate key %q: keep one", name)
		default:
			if value = aliased(value); value.ShortTag() != "!!null" {
				read(name, value)
			}
		}
		seen[key.Value] = true
	}
}

// selection returns a reader for a Selection. check validates each pattern.
func (p *parser) selection(into *Selection, check func(string) error) reader {
	return func(path string, value *yaml.Node) {
		p.mapping(path, value, fields{"include": p.list(&into.Include, check), "exclude": p.list(&into.Exclude, check)})
	}
}

// list returns a reader for a list of strings. check validates each string.
func (p *parser) list(into *[]string, check func(string) error) reader {
	return func(path string, value *yaml.Node) {
		if value.Kind != yaml.SequenceNode {
			p.fault(value.Line, "%s is %s, want a list, such as [a, b]", path, kind(value))
			return
		}
		*into = nil
		for _, item := range value.Content {
			item = aliased(item)
			if item.ShortTag() != "!!str" {
				p.fault(item.Line, "%s has item %s, want a string: quote it", path, kind(item))
				continue
			}
			if err := check(item.Value); err != nil {
				p.fault(item.Line, "%s %q: %v", path, item.Value, err)
			}
			*into = append(*into, item.Value)
		}
	}
}

func (p *parser) alwaysPull(into *AlwaysPull) reader {
	return func(path string, value *yaml.Node) {
		*into = AlwaysPull(value.Value)
		if *into != AlwaysPullUpstream && *into != AlwaysPullHost {
			p.fault(value.Line, "%s is %s, want %s or %s", path, kind(value), AlwaysPullUpstream, AlwaysPullHost)
		}
	}
}

func (p *parser) count(into *int) reader {
	return func(path string, value *yaml.Node) {
		err := value.Decode(into)
		if err != nil || value.ShortTag() != "!!int" || *into < 0 || *into > math.MaxInt32 {
			p.fault(value.Line, "%s is %s, want a whole number, 0 or more", path, kind(value))
		}
	}
}

func (p *parser) yesOrNo(into *bool) reader {
	return func(path string, value *yaml.Node) {
		if value.ShortTag() != "!!bool" || value.Decode(into) != nil {
			p.fault(value.Line, "%s is %s, want true or false", path, kind(value))
		}
	}
}

func (p *parser) duration(into *time.Duration) reader {
	return func(path string, value *yaml.Node) {
		var err error
		if *into, err = time.ParseDuration(value.Value); err != nil || *into <= 0 {
			p.fault(value.Line, "%s is %s, want a duration, such as 5m", path, kind(value))
		}
	}
}

// aliased returns node itself, unless node is an alias. It then returns the node that the alias refers to.
func aliased(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// kind describes a node for an error message.
func kind(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", node.Value)
	}
}
