package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// maxFile is the number of bytes after which ReadFiles truncates a file.
const maxFile = 1 << 20

// ReadFiles returns the contents of a file, or of the regular files below a directory, keyed by base name. The container need not
// be running. ReadFiles returns nil if the container or the path does not exist.
func (e *Engine) ReadFiles(ctx context.Context, container, from string) (map[string][]byte, error) {
	copied, err := e.client.CopyFromContainer(ctx, container, client.CopyFromContainerOptions{SourcePath: from})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("copying %s from container %s: %w", from, container, err)
	}
	files, err := untar(copied.Content)
	if err := errors.Join(err, copied.Content.Close()); err != nil {
		return nil, fmt.Errorf("reading %s of container %s: %w", from, container, err)
	}
	return files, nil
}

// WriteFiles writes files to a directory in a container. The keys of files are names, and the values are contents. The container
// need not be running. Only root can read the files.
func (e *Engine) WriteFiles(ctx context.Context, container, directory string, files map[string][]byte) error {
	archive, err := archive(files)
	if err != nil {
		return fmt.Errorf("packing files for container %s: %w", container, err)
	}
	_, err = e.client.CopyToContainer(ctx, container, client.CopyToContainerOptions{DestinationPath: directory, Content: archive})
	if err != nil {
		return fmt.Errorf("copying files to %s of container %s: %w", directory, container, err)
	}
	return nil
}

// archive packs the files into a tar archive.
func archive(files map[string][]byte) (io.Reader, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return &packed, w.Close()
}

// untar returns the regular files in a tar archive, keyed by base name.
func untar(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if files[path.Base(header.Name)], err = io.ReadAll(io.LimitReader(r, maxFile)); err != nil {
			return nil, err
		}
	}
}
