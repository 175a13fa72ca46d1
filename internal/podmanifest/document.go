package podmanifest

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kind-local-registry/internal/yamltext"
)

// Document is one YAML or JSON document of a file.
type Document struct {
	// File is the path that the user gave, or "standard input". If that path is a directory, File also includes the file's
	// name.
	File string
	// Line is the line where the document's content begins, counted from 1.
	Line int

	// root is the Kubernetes object: a mapping without aliases and merge keys. It is nil if the document contains only
	// comments.
	root *yaml.Node
	// tree is the whole document, including comments and root.
	tree *yaml.Node
	// text is the document as it was read. It is "" if the document was JSON.
	text string
	// changed reports whether tree has changed since the document was read.
	changed bool
}

// parse returns the documents in the part. If it returns an error, it also returns the valid documents.
func (p part) parse(file string) ([]*Document, error) {
	body := p.body()
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		return p.parseYAML(file, body)
	}
	trees, err := readJSON(file, body, p.Line)
	if err != nil {
		// A text that begins like JSON may also be YAML: in flow style, or with comments.
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

// parseYAML returns the document in the part, if there is one. body is the part's text without its separator.
func (p part) parseYAML(file, body string) ([]*Document, error) {
	if strings.TrimSpace(body) == "" {
		return nil, nil
	}
	decoder := yaml.NewDecoder(strings.NewReader(body))
	var tree, next yaml.Node
	if err := decoder.Decode(&tree); errors.Is(err, io.EOF) {
		return []*Document{{File: file, Line: p.Line, text: p.Text}}, nil
	} else if err != nil {
		return nil, p.notYAML(file, body, err)
	}
	if err := decoder.Decode(&next); err == nil {
		return nil, errorAt(file, p.Line+next.Line-1, "a new document begins without a line %s before it; add that line", yamltext.Separator)
	} else if !errors.Is(err, io.EOF) {
		return nil, p.notYAML(file, body, err)
	}
	document, err := newDocument(expander{file: file, offset: p.Line - 1}, p.Text, &tree)
	if err != nil {
		return nil, err
	}
	return []*Document{document}, nil
}

// newDocument returns the document for a tree and expands the tree's aliases. It returns an error if the root is neither a
// Kubernetes object nor null.
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
			"give manifests, such as the output of helm template for a chart or of kubectl kustomize for a kustomization")
	}
	return &Document{File: file, Line: root.Line, root: root, tree: tree, text: text}, nil
}

var (
	// yamlError matches an error from package yaml. It captures the line, if there is one, and the message.
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	// countedFrom0 matches the errors whose lines package yaml counts from 0. They come from its parser; its scanner counts from
	// 1.
	countedFrom0 = regexp.MustCompile(`^did not find expected (key|node content|'-'|','|<)`)
)

// notYAML returns the parser's error about body, with the line in the file and, if known, advice on how to fix it.
func (p part) notYAML(file, body string, err error) error {
	line, message := p.Line, err.Error()
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
		message += "; this is a template: render it first, for example with helm template"
	case strings.Contains(body, "\n\t"):
		message += "; indent with spaces, not tabs"
	}
	return errorAt(file, line, "not YAML: %s", message)
}
