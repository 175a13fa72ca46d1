package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kind-local-registry/internal/docker/dockertest"

	"github.com/opencontainers/go-digest"
)

// store is a temporary directory in the layout of the overlay2 driver.
type store struct {
	root  string
	image Image
}

// newStore returns a store that contains one image with the given layers. Each layer lists file names and contents in turn: name,
// content, name, content, ….
func newStore(t *testing.T, layers ...[]string) store {
	t.Helper()
	s := store{root: t.TempDir()}
	for _, files := range layers {
		s.add(t, files)
	}
	config := []byte(`{"a":"config"}`)
	s.image.ID = digest.FromBytes(config)
	s.write(t, "image/overlay2/imagedb/content/sha256/"+s.image.ID.Encoded(), config)
	return s
}

// add adds a layer to the store, together with tar-split's record of the layer's tar.
func (s *store) add(t *testing.T, files []string) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for i := 0; i < len(files); i += 2 {
		header := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}
		if err := errors.Join(w.WriteHeader(header), ignore(io.WriteString(w, files[i+1]))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dockertest.StoreLayer(t, s.root, s.image.Layers, layer.Bytes())
	s.image.Layers = append(s.image.Layers, digest.FromBytes(layer.Bytes()))
}

func ignore[T any](_ T, err error) error { return err }

func (s *store) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(s.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// diff returns the directory that contains the lowest layer's files.
func (s *store) diff() string {
	return filepath.Join(s.root, "overlay2", s.image.Layers[0].Encoded()[:8], "diff")
}

// read reads all blobs of the image. For each yielded blob it reports whether the blob was read without an error and matches
// its digest.
func (s *store) read(t *testing.T) (map[digest.Digest]bool, error) {
	t.Helper()
	intact := map[digest.Digest]bool{}
	results := make(chan func(), 10)
	err := overlay2{root: s.root, image: s.image}.Blobs(context.Background(), append([]digest.Digest{s.image.ID}, s.image.Layers...),
		func(d digest.Digest, _ int64, blob io.Reader) error {
			read, err := digest.FromReader(blob)
			results <- func() { intact[d] = err == nil && read == d }
			return nil
		})
	close(results)
	for result := range results {
		result()
	}
	return intact, err
}

func TestOverlay2_ReassemblesLayerTars(t *testing.T) {
	t.Parallel()
	s := newStore(t, []string{"a", "content", "b", "", "d/c", strings.Repeat("x", 100_000)}, []string{"./e", "f"})
	intact, err := s.read(t)
	if err != nil || len(intact) != 3 {
		t.Errorf("%d blobs, error %v; want 3", len(intact), err)
	}
	for d, is := range intact {
		if !is {
			t.Errorf("blob %s does not match its digest", d)
		}
	}
}

func TestOverlay2_GivesOtherLayersIfOneIsDamaged(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(s *store) error{
		"a file is shorter": func(s *store) error { return os.Truncate(filepath.Join(s.diff(), "a"), 3) },
		"a file is gone":    func(s *store) error { return os.Remove(filepath.Join(s.diff(), "a")) },
		"a file has other content": func(s *store) error {
			return os.WriteFile(filepath.Join(s.diff(), "a"), []byte("CONTENT"), 0o600)
		},
		"a file is a link out of the layer": func(s *store) error {
			outside := filepath.Join(s.root, "outside")
			return errors.Join(os.WriteFile(outside, []byte("content"), 0o600),
				os.Remove(filepath.Join(s.diff(), "a")), os.Symlink(outside, filepath.Join(s.diff(), "a")))
		},
		"the files are gone": func(s *store) error { return os.RemoveAll(s.diff()) },
		"the record is gone": func(s *store) error {
			return os.Remove(filepath.Join(s.root, "image/overlay2/layerdb/sha256", s.image.Layers[0].Encoded(), "tar-split.json.gz"))
		},
		"the record is truncated": func(s *store) error {
			return os.Truncate(filepath.Join(s.root, "image/overlay2/layerdb/sha256", s.image.Layers[0].Encoded(), "tar-split.json.gz"), 60)
		},
		"cache-id leads out of the store": func(s *store) error {
			return os.WriteFile(filepath.Join(s.root, "image/overlay2/layerdb/sha256", s.image.Layers[0].Encoded(), "cache-id"), []byte("../.."), 0o600)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, []string{"a", "content"}, []string{"b", "other"})
			if err := damage(&s); err != nil {
				t.Fatal(err)
			}
			intact, _ := s.read(t)
			if intact[s.image.Layers[0]] {
				t.Error("the damaged layer matches its digest")
			}
			if !intact[s.image.Layers[1]] || !intact[s.image.ID] {
				t.Errorf("other layer intact: %t, config intact: %t; want both", intact[s.image.Layers[1]], intact[s.image.ID])
			}
		})
	}
}

func TestOverlay2_ReadsNoFileOutsideTheLayer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../secret", "/../../secret", "a/../../../secret"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, []string{name, "secret"})
			s.write(t, "overlay2/secret", []byte("secret"))
			s.write(t, "secret", []byte("secret"))
			if intact, _ := s.read(t); intact[s.image.Layers[0]] {
				t.Error("the layer has a file from outside of it")
			}
		})
	}
}
