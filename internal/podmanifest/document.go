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
	// File is the path as it was given, below the directory that was given, or "standard input".
	File string
	// Line is where the document's content begins, counted from 1.
	Line int

	// root is the object: a mapping without aliases and merge keys. It is nil in a document of comments only.
	root *yaml.Node
	// tree is the whole document, comments included, with root in it.
	tree *yaml.Node
	// text is the document as it was read, in YAML; empty where that was JSON.
	text string
	// changed says that tree, and no more text, is what the document says.
	changed bool
}

// parse returns the documents of the part, those that are right also with an error.
func (p part) parse(file string) ([]*Document, error) {
	body := p.body()
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		return p.parseYAML(file, body)
	}
	trees, err := readJSON(file, body, p.line)
	if err != nil {
		// What begins as JSON may go on as YAML, in flow style or with comments.
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

// parseYAML returns the document of the part, if there is one. body is the part's text without separator.
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
		return nil, errorAt(file, p.line+next.Line-1, "a document begins here without a line %s before it: put one there", separator)
	} else if !errors.Is(err, io.EOF) {
		return nil, p.notYAML(file, body, err)
	}
	document, err := newDocument(expander{file: file, offset: p.line - 1}, p.text, &tree)
	if err != nil {
		return nil, err
	}
	return []*Document{document}, nil
}

// newDocument returns a document of the tree, expanded, which has to be a Kubernetes object or null.
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
		return nil, errorAt(file, root.Line, "no Kubernetes object: it has no apiVersion and kind; "+
			"give manifests (of a chart or a kustomization, what helm template or kubectl kustomize prints)")
	}
	return &Document{File: file, Line: root.Line, root: root, tree: tree, text: text}, nil
}

var (
	// yamlError takes the line from an error of package yaml, if it has one.
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	// countedFrom0 is about the errors whose line package yaml counts from 0: those of its parser, not of its scanner.
	countedFrom0 = regexp.MustCompile(`^did not find expected (key|node content|'-'|','|<)`)
)

// notYAML returns the parser's error about body with the line in the file, and what to do where that can be told.
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
		message += "; this is a template: give what it renders to, as with helm template"
	case strings.Contains(body, "\n\t"):
		message += "; indent with blanks, not with tabs"
	}
	return errorAt(file, line, "not YAML: %s", message)
}
