package podmanifest

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is one YAML or JSON document of a file.
type Document struct {
	// File is the path given by the user, with the file's name if that is a directory, or "standard input".
	File string
	// Line is the line where the document's content begins, counted from 1.
	Line int

	// root is the object: a mapping without aliases and merge keys. It is nil if the document has only comments.
	root *yaml.Node
	// tree is the whole document, with comments and root.
	tree *yaml.Node
	// text is the document as it was read if that was YAML, otherwise "".
	text string
	// changed reports whether tree has changed since text was read.
	changed bool
}

// parse returns the documents of the part. With an error it returns the valid ones.
func (p part) parse(file string) ([]*Document, error) {
	body := p.body()
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		return p.parseYAML(file, body)
	}
	trees, err := readJSON(file, body, p.line)
	if err != nil {
		// A text that begins like JSON may be YAML, in flow style or with comments.
		documents, errYAML := p.parseYAML(file, body)
		if errYAML == nil || len(trees) == 0 {
			return documents, errYAML
		}
	}
	var documents []*Document
	faults := []error{err}
	for _, tree := range trees {
		document, err := newDocument(expander{file: file}, "", tree)
		faults = append(faults, err)
		if err == nil {
			documents = append(documents, document)
		}
	}
	return documents, errors.Join(faults...)
}

// parseYAML returns the document of the part, if there is one. body is the part's text without its separator.
func (p part) parseYAML(file, body string) ([]*Document, error) {
	if strings.TrimSpace(body) == "" {
		return nil, nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(body))
	var tree, next yaml.Node
	if err := decoder.Decode(&tree); errors.Is(err, io.EOF) {
		return []*Document{{File: file, Line: p.line, text: p.text}}, nil
	} else if err != nil {
		return nil, p.notYAML(file, body, err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, errorAt(file, p.line+next.Line-1, "a new document without a line %s before it: add one", separator)
	} else if !errors.Is(err, io.EOF) {
		return nil, p.notYAML(file, body, err)
	}
	document, err := newDocument(expander{file: file, offset: p.line - 1}, p.text, &tree)
	if err != nil {
		return nil, err
	}
	return []*Document{document}, nil
}

// newDocument returns the document of a tree, with aliases expanded. It returns an error unless that is a Kubernetes object or
// null.
func newDocument(expander expander, text string, tree *yaml.Node) (*Document, error) {
	tree, err := expander.expand(tree, 0)
	if err != nil {
		return nil, err
	}
	file, root := expander.file, tree.Content[0]
	if isNull(root) {
		return &Document{File: file, Line: root.Line, text: text}, nil
	}
	if stringAt(root, "apiVersion") == "" || stringAt(root, "kind") == "" {
		return nil, errorAt(file, root.Line, "not a Kubernetes object: it has no apiVersion and kind; "+
			"give manifests (for a chart or a kustomization, the output of helm template or kubectl kustomize)")
	}
	return &Document{File: file, Line: root.Line, root: root, tree: tree, text: text}, nil
}

var (
	// yamlError matches an error of package yaml: line, if it has one, and message.
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	// countedFrom0 matches the errors whose line package yaml counts from 0: those of its parser, not of its scanner.
	countedFrom0 = regexp.MustCompile(`^did not find expected (key|node content|'-'|','|<)`)
)

// notYAML returns the parser's error about body with the line in the file and, if known, what to do.
func (p part) notYAML(file, body string, err error) error {
	line, message := p.line, err.Error()
	if found := yamlError.FindStringSubmatch(message); found != nil {
		message = found[2]
		if n, err := strconv.Atoi(found[1]); err == nil && countedFrom0.MatchString(message) {
			line += n
		} else if err == nil {
			line += n - 1
		}
	}
	switch {
	case strings.Contains(body, "{{"):
		message += "; this is a template: render it, as with helm template"
	case strings.Contains(body, "\n\t"):
		message += "; indent with spaces, not tabs"
	}
	return errorAt(file, line, "not YAML: %s", message)
}
