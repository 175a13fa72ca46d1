package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// Source is one file of the bundle.
type Source struct {
	// Path is the file's path in the bundle, with slashes.
	Path string
	// Read returns the file's content. If it fails, the bundle contains the error instead.
	Read func(context.Context) ([]byte, error)
}

// LogLines is how many of the last lines of a container's or a pod's log a bundle contains.
const LogLines = 5000

// errorSuffix is the suffix of files that contain an error.
const errorSuffix = ".error"

// readme is the first file of a bundle.
const readme = `This directory was written by "setup export logs", for a bug report about kind-local-registry.

It contains no Secrets, no private keys and no images. Credentials in URLs, headers and settings, and the values of most environment
variables, are replaced by ` + Redacted + `. It does contain names: of images, pods, nodes, containers and hosts. Look through it before you
share it.
`

// Prepare creates the directory, which must not exist or be empty. Only the user can read it.
func Prepare(directory string) error {
	entries, err := os.ReadDir(directory)
	if err == nil && len(entries) > 0 {
		return step.Remedy(fmt.Errorf("directory %s is not empty", directory), "name a new directory")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the directory for the bundle: %w", err)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("creating the directory for the bundle: %w", err)
	}
	return nil
}

// Write reads the sources and writes them to the directory, without secrets. A source that fails is no error, because a bundle is
// needed most when something is broken.
func Write(ctx context.Context, directory string, redactor *Redactor, sources []Source, begun func(path string)) (report.Export, error) {
	bundle := report.Export{Directory: directory, Files: []string{}, Missing: []string{}}
	root, err := os.OpenRoot(directory) // names of pods and nodes cannot lead out of it
	if err != nil {
		return bundle, err
	}
	defer func() { _ = root.Close() }()
	first := Source{Path: "README.txt", Read: func(context.Context) ([]byte, error) { return []byte(readme), nil }}
	for _, source := range append([]Source{first}, sources...) {
		begun(source.Path)
		content, err := source.Read(ctx)
		if ctx.Err() != nil {
			return bundle, ctx.Err()
		}
		path := source.Path
		if err != nil {
			bundle.Missing = append(bundle.Missing, path)
			path, content = path+errorSuffix, []byte(err.Error()+"\n")
		}
		if err := write(root, path, redactor.Redact(content)); err != nil {
			return bundle, fmt.Errorf("writing the bundle: %w", err)
		}
		bundle.Files = append(bundle.Files, path)
	}
	slices.Sort(bundle.Files)
	return bundle, nil
}

// write writes a file below the root. Only the user can read it.
func write(root *os.Root, path string, content []byte) error {
	file := filepath.FromSlash(path)
	if err := root.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return root.WriteFile(file, content, 0o600)
}
