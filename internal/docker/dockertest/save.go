package dockertest

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// save writes the image as Docker 26 does: first the directories, then every blob once, sorted by digest and including documents
// that no client needs, and finally the files that describe the layout.
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

// saveAsBefore25 writes the image as Docker 20.10 does: first a directory for each layer, and finally the list that maps layers
// to directories. A directory's name is an ID that differs from the layer's digest. A repeated layer is a symbolic link.
func saveAsBefore25(w io.Writer, image Image) error {
	type directory struct{ name, link string }
	var names []string
	layers := map[string]Blob{}
	var directories []directory
	first := map[digest.Digest]string{}
	for i, layer := range image.Layers {
		id := digest.FromString(fmt.Sprint(image.ID(), i)).Encoded()
		link := first[layer.Digest]
		if link == "" {
			first[layer.Digest] = id
		}
		names, layers[id] = append(names, id+"/layer.tar"), layer
		directories = append(directories, directory{id, link})
	}
	slices.SortFunc(directories, func(a, b directory) int { return strings.Compare(a.name, b.name) })
	files := tar.NewWriter(w)
	if err := write(files, image.ID().Encoded()+".json", image.Config); err != nil {
		return err
	}
	for _, d := range directories {
		if d.link != "" {
			header := &tar.Header{Name: d.name + "/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../" + d.link + "/layer.tar"}
			if err := files.WriteHeader(header); err != nil {
				return err
			}
		} else if err := write(files, d.name+"/layer.tar", layers[d.name]); err != nil {
			return err
		}
	}
	list, err := json.Marshal([]map[string]any{{"Config": image.ID().Encoded() + ".json", "RepoTags": nil, "Layers": names}})
	if err != nil {
		return err
	}
	if err := write(files, "manifest.json", NewBlob(list)); err != nil {
		return err
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

// manifest returns the value to encode as manifest.json.
func manifest(image Image) any {
	layers := []string{}
	for _, layer := range image.Layers {
		layers = append(layers, path(layer))
	}
	return []map[string]any{{"Config": path(image.Config), "RepoTags": nil, "Layers": layers}}
}

// path returns the name of a blob's file.
func path(blob Blob) string { return "blobs/sha256/" + blob.Digest.Encoded() }
