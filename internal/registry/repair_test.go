package registry_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestNew_RepairsDamagedFilesWithTheNextPush damages the files in the data directory one at a time, in each of several ways.
func TestNew_RepairsDamagedFilesWithTheNextPush(t *testing.T) {
	t.Parallel()
	for kind, damage := range damages() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			host := start(t, root)
			one, other := push(t, host+"/a/b:1"), push(t, host+"/c:2")
			for _, file := range files(t, root) {
				if err := damage(filepath.Join(root, file)); err != nil {
					t.Fatalf("damaging %s: %v", file, err)
				}
				victim, bystander, reference, elsewhere := one, other, host+"/a/b:1", host+"/c:2"
				if !strings.Contains(file, "/repositories/a/") && !isBlobOf(t, one, file) {
					victim, bystander, reference, elsewhere = other, one, elsewhere, reference
				}
				wantIntactOrMissing(t, reference, victim, file)
				wantImage(t, elsewhere, bystander, "while "+file+" is damaged")
				pushMissing(t, reference, victim)
				wantImage(t, reference, victim, "after "+file+" was damaged and pushed again")
			}
		})
	}
}

// damages returns functions that damage a file. The map's keys describe the damage.
func damages() map[string]func(name string) error {
	return map[string]func(name string) error{
		"removed": os.Remove,
		"emptied": func(name string) error { return os.Truncate(name, 0) },
		"cut by one byte": func(name string) error {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			return os.Truncate(name, info.Size()-1)
		},
		"one bit flipped": func(name string) error {
			content, err := os.ReadFile(name) // #nosec G304 -- the test wrote this file
			if err != nil {
				return err
			}
			content[len(content)-1] ^= 1
			return os.WriteFile(name, content, 0o600)
		},
	}
}

// push pushes a new random image and returns the image.
func push(t *testing.T, to string) v1.Image {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatalf("making an image: %v", err)
	}
	if err := remote.Write(parse(t, to), image, options(t)...); err != nil {
		t.Fatalf("pushing to %s: %v", to, err)
	}
	return image
}

// pushMissing always pushes the image manifest, but only those blobs that the registry reports as missing. remote.Write would not
// do this, because it only checks whether the image manifest is present.
func pushMissing(t *testing.T, to string, image v1.Image) {
	t.Helper()
	config, err := partial.ConfigLayer(image)
	if err != nil {
		t.Fatalf("ConfigLayer: %v", err)
	}
	for _, blob := range append(mustLayers(t, image), config) {
		if err := remote.WriteLayer(parse(t, to).Context(), blob, options(t)...); err != nil {
			t.Fatalf("pushing a blob again to %s: %v", to, err)
		}
	}
	if err := remote.Put(parse(t, to), image, options(t)...); err != nil {
		t.Fatalf("pushing the image manifest again to %s: %v", to, err)
	}
}

// files returns all files below the directory.
func files(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found = append(found, name)
		}
		return err
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("listing the store: %d files, error %v", len(found), err)
	}
	return found
}

// isBlobOf reports whether the file is one of the image's blobs.
func isBlobOf(t *testing.T, image v1.Image, file string) bool {
	t.Helper()
	content, err := image.RawManifest()
	if err != nil {
		t.Fatalf("RawManifest: %v", err)
	}
	d, err := image.Digest()
	if err != nil {
		t.Fatalf("Digest: %v", err)
	}
	hex := filepath.Base(filepath.Dir(file))
	return strings.Contains(string(content), hex) || d.Hex == hex
}

// wantIntactOrMissing fails the test if the registry serves wrong content for the image after file was damaged, or responds
// with a status other than 200 or 404.
func wantIntactOrMissing(t *testing.T, reference string, image v1.Image, file string) {
	t.Helper()
	for _, layer := range mustLayers(t, image) {
		d, err := layer.Digest()
		if err != nil {
			t.Fatalf("Digest: %v", err)
		}
		repository := parse(t, reference).Context()
		url := "http://" + repository.RegistryStr() + "/v2/" + repository.RepositoryStr() + "/blobs/" + d.String()
		if code := head(t, url); code != http.StatusOK && code != http.StatusNotFound {
			t.Errorf("HEAD of layer %s with %s damaged = %d, want 200 or 404", d, file, code)
		}
	}
	pulled, err := remote.Image(parse(t, reference), options(t)...)
	if err == nil && validate.Image(pulled) == nil {
		want, _ := image.Digest()
		if got, _ := pulled.Digest(); got != want {
			t.Errorf("image served with %s damaged = %s, want %s or none", file, got, want)
		}
	}
}

// wantImage fails the test unless the image can be pulled intact.
func wantImage(t *testing.T, reference string, want v1.Image, when string) {
	t.Helper()
	pulled, err := remote.Image(parse(t, reference), append(options(t), remote.WithPlatform(v1.Platform{}))...)
	if err != nil {
		t.Fatalf("pulling %s %s: %v", reference, when, err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Errorf("%s %s: %v", reference, when, err)
	}
	wantDigest, _ := want.Digest()
	if got, err := pulled.Digest(); err != nil || got != wantDigest {
		t.Errorf("%s %s is %s (error %v), want %s", reference, when, got, err, wantDigest)
	}
}

func mustLayers(t *testing.T, image v1.Image) []v1.Layer {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatalf("Layers: %v", err)
	}
	return layers
}

// head returns the status code of a HEAD request.
func head(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("HEAD %s: %v", url, err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
