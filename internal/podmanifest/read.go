package podmanifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kind-local-registry/internal/yamltext"
)

const (
	// standardInput is the path that stands for standard input.
	standardInput = "-"
	// standardInputName is the name of standard input in errors.
	standardInputName = "standard input"
)

// extensions lists the extensions of the files that Read reads in a directory. kubectl apply -f uses the same list.
var extensions = []string{".json", ".yaml", ".yml"}

// Read returns the documents in paths, in order. A path is a file, a directory or "-" for stdin. In a directory, Read reads the
// files that end in .json, .yaml or .yml, and ignores subdirectories. A list of objects is one document.
//
// Each error contains the file, the line if known, and advice on how to fix it. Read joins the errors and also returns the
// valid documents. A document that is not a Kubernetes object, such as Helm's values, results in an error.
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

// filesOf returns path if it is a file. If path is a directory, filesOf returns the files in it that have one of the
// extensions.
func filesOf(path string) ([]string, error) {
	if path == standardInput {
		return []string{path}, nil
	}
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("%s: not a file; download it, for example with: curl -fsSL %s | … -f -", path, path)
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
		return nil, fmt.Errorf("%s: no manifests in this directory: it has no file that ends in %s, and subdirectories are not read",
			path, strings.Join(extensions, ", "))
	}
	return files, nil
}

// readFile returns the documents in one file, or in stdin.
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
	for _, one := range yamltext.Split(text) {
		found, err := part(one).parse(name)
		documents = append(documents, found...)
		faults = append(faults, err)
	}
	return documents, errors.Join(faults...)
}

// contentOf returns the content of a file or of stdin, and the name to use in errors.
func contentOf(path string, stdin io.Reader) (name string, content []byte, err error) {
	if path == standardInput {
		content, err = io.ReadAll(stdin)
		return standardInputName, content, err
	}
	content, err = os.ReadFile(path) //nolint:gosec // the user gave this path
	return path, content, err
}

// errorAt returns an error about a line in a file. Lines are counted from 1.
func errorAt(file string, line int, format string, values ...any) error {
	return fmt.Errorf("%s:%d: %w", file, line, fmt.Errorf(format, values...))
}
