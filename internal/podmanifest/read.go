package podmanifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// standardInput is the path that stands for standard input.
	standardInput = "-"
	// standardInputName is what standard input is called in errors.
	standardInputName = "standard input"
)

// extensions are those of the files that are read from a directory, as with kubectl apply -f.
var extensions = []string{".json", ".yaml", ".yml"}

// Read returns the documents of paths, in their order. A path is a file; a directory, of which the files are read that
// end in .json, .yaml or .yml, and none below it; or "-", which is stdin. A list of objects is one document.
//
// Each error names its file, mostly its line, and what to do. They are joined, and the documents that are right are
// returned beside them. A document that is not even a Kubernetes object, such as Helm's values, is an error.
func Read(paths []string, stdin io.Reader) ([]*Document, error) {
	var documents []*Document
	var faults []error
	for _, path := range paths {
		files, err := filesOf(path)
		faults = append(faults, err)
		for _, file := range files {
			found, err := readFile(file, stdin)
			documents = append(documents, found...)
			faults = append(faults, err)
		}
	}
	return documents, errors.Join(faults...)
}

// filesOf returns the files that path stands for.
func filesOf(path string) ([]string, error) {
	if path == standardInput {
		return []string{path}, nil
	}
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("%s: not a file: get it yourself, as with: curl -fsSL %s | … -f -", path, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains(extensions, filepath.Ext(entry.Name())) {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no manifests in this directory: it has no file that ends in %s, and those below it are not read",
			path, strings.Join(extensions, ", "))
	}
	return files, nil
}

// readFile returns the documents of one file, or of stdin.
func readFile(path string, stdin io.Reader) ([]*Document, error) {
	name, content, err := contentOf(path, stdin)
	if err != nil {
		return nil, fmt.Errorf("reading manifests from %s: %w", name, err)
	}
	text, err := normalize(string(content))
	if err != nil {
		return nil, errorAt(name, 1, "%w", err)
	}
	var documents []*Document
	var faults []error
	for _, part := range split(text) {
		found, err := part.parse(name)
		documents = append(documents, found...)
		faults = append(faults, err)
	}
	return documents, errors.Join(faults...)
}

// contentOf returns what is in a file, or comes from stdin, and what that is called in errors.
func contentOf(path string, stdin io.Reader) (name string, content []byte, err error) {
	if path == standardInput {
		content, err = io.ReadAll(stdin)
		return standardInputName, content, err
	}
	content, err = os.ReadFile(path) //nolint:gosec // the person names the file
	return path, content, err
}

// errorAt returns an error about a line of a file, counted from 1.
func errorAt(file string, line int, format string, values ...any) error {
	return fmt.Errorf("%s:%d: %w", file, line, fmt.Errorf(format, values...))
}
