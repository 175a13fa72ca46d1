package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parse parses rules from a YAML document. A key that is missing has its default value, so an empty document yields Default. The
// error lists every fault with the file's name, the line and what to do.
func Parse(file string, document []byte) (Rules, error) {
	p := &parser{file: file}
	parsed := Default()
	if root := p.document(document); root != nil && root.ShortTag() != "!!null" {
		p.rules(root, &parsed)
	}
	if err := errors.Join(p.faults...); err != nil {
		return Rules{}, err
	}
	parsed.Pods = podRules(parsed.Pods.Exclude...)
	return parsed, nil
}

// parser parses a document and collects its faults.
type parser struct {
	file   string
	faults []error
}

// fault records a fault on a line.
func (p *parser) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s:%d: %s; see docs/rules.md", p.file, line, fmt.Sprintf(format, args...)))
}

// yamlFault matches an error from package yaml. Its groups are the line, if there is one, and the message.
var yamlFault = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// document returns the root node of the document in text. It returns nil if text is empty or invalid, or contains two documents.
func (p *parser) document(text []byte) *yaml.Node {
	if !utf8.Valid(text) {
		p.fault(lineOfInvalid(text), "not UTF-8: save the file as UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	err := decoder.Decode(&first)
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch {
	case err == nil:
		p.fault(second.Line, "a second document: put all rules into one document")
	case !errors.Is(err, io.EOF):
		line, message := 1, err.Error()
		if parts := yamlFault.FindStringSubmatch(message); parts != nil {
			line, _ = strconv.Atoi(parts[1])
			message = parts[2]
		}
		p.fault(max(line, 1), "not YAML: %s", message)
	case first.Kind == yaml.DocumentNode:
		return first.Content[0]
	}
	return nil
}

// lineOfInvalid returns the line of the first byte that is not UTF-8.
func lineOfInvalid(text []byte) int {
	valid := 0
	for valid < len(text) {
		r, size := utf8.DecodeRune(text[valid:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	return 1 + bytes.Count(text[:valid], []byte("\n"))
}
