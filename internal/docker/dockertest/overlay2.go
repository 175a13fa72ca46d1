package dockertest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"
)

// StoreImage writes the image to Docker's data directory root in the layout of the overlay2 driver. Its layers must be tars.
func StoreImage(t testing.TB, root string, image Image) {
	t.Helper()
	var below []digest.Digest
	for _, layer := range image.Layers {
		content, err := io.ReadAll(layer.Open())
		if err != nil {
			t.Fatal(err)
		}
		StoreLayer(t, root, below, content)
		below = append(below, layer.Digest)
	}
	config, err := io.ReadAll(image.Config.Open())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, "image/overlay2/imagedb/content/sha256", image.ID().Encoded()), config)
}

// StoreLayer writes a layer to Docker's data directory root: the regular files of its tar, and tar-split's record of the tar.
// below contains the diffIDs of the lower layers. The layer's directory is named after the first 8 digits of its chainID.
func StoreLayer(t testing.TB, root string, below []digest.Digest, layer []byte) {
	t.Helper()
	var record bytes.Buffer
	compressed := gzip.NewWriter(&record)
	split, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(layer), storage.NewJSONPacker(compressed), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, split)
	if err := errors.Join(err, <-done, compressed.Close()); err != nil {
		t.Fatal(err)
	}
	chain := identity.ChainID(append(slices.Clone(below), digest.FromBytes(layer))).Encoded()
	metadata, directory := filepath.Join(root, "image/overlay2/layerdb/sha256", chain), filepath.Join(root, "overlay2", chain[:8], "diff")
	writeFile(t, filepath.Join(metadata, "cache-id"), []byte(chain[:8]))
	writeFile(t, filepath.Join(metadata, "tar-split.json.gz"), record.Bytes())
	if err := os.MkdirAll(directory, 0o750); err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(bytes.NewReader(layer)); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg && filepath.IsLocal(header.Name) {
			writeFile(t, filepath.Join(directory, header.Name), content) // #nosec G305 -- the name is local
		}
	}
}

// writeFile writes a file, and creates its directory.
func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}
