package dockertest

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// save writes the image as Docker 26 does: directories, then every blob once in the order of their names, among them
// documents that nobody asked for, and the files that describe the layout last.
func save(w io.Writer, image Image) error {
	manifest, err := json.Marshal(manifest(image))
	if err != nil {
		return err
	}
	unwanted := []Blob{NewBlob([]byte(`{"schemaVersion":2}`)), NewBlob([]byte(`{"id":"v1"}`))}
	blobs := slices.Concat([]Blob{image.Config}, unwanted, image.Layers)
	slices.SortFunc(blobs, func(a, b Blob) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	blobs = slices.CompactFunc(blobs, func(a, b Blob) bool { return a.Digest == b.Digest })

	files := tar.NewWriter(w)
	for _, directory := range []string{"blobs/", "blobs/sha256/"} {
		if err := files.WriteHeader(&tar.Header{Name: directory, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	for _, blob := range blobs {
		if err := write(files, path(blob), blob); err != nil {
			return err
		}
	}
	for _, file := range []struct{ name, content string }{
		{"index.json", `{"schemaVersion":2}`},
		{"manifest.json", string(manifest)},
		{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`},
	} {
		if err := write(files, file.name, NewBlob([]byte(file.content))); err != nil {
			return err
		}
	}
	return files.Close()
}

// write writes one file.
func write(files *tar.Writer, name string, blob Blob) error {
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: blob.Size}); err != nil {
		return err
	}
	if _, err := io.Copy(files, blob.Open()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// manifest returns the content of manifest.json.
func manifest(image Image) any {
	layers := []string{}
	for _, layer := range image.Layers {
		layers = append(layers, path(layer))
	}
	return []map[string]any{{"Config": path(image.Config), "RepoTags": nil, "Layers": layers}}
}

// path returns the name of a blob's file.
func path(blob Blob) string { return "blobs/sha256/" + blob.Digest.Encoded() }
