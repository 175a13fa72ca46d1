package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/registry/registrytest"
)

// archiveWorld is a registry to which archives are pushed.
type archiveWorld struct {
	ArchivePusher

	root, url string
}

// newArchiveWorld starts a registry, on a host without images.
func newArchiveWorld(t *testing.T) *archiveWorld {
	t.Helper()
	root := t.TempDir()
	url := registrytest.Start(t, root)
	client, err := push.NewRegistry(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &archiveWorld{root: root, url: strings.TrimPrefix(url, "http://"), ArchivePusher: ArchivePusher{
		Registry: client, RegistryHost: registryHost, Excluded: func(string) string { return "" },
		HostID: func(context.Context, string) (string, error) { return "", nil },
	}}
}

// push pushes an archive from a reader that cannot seek.
func (w *archiveWorld) push(t *testing.T, tag string, content []byte) ([]Pushed, error) {
	t.Helper()
	from := Archive{Name: "app.tar", Content: io.MultiReader(bytes.NewReader(content)), Tag: tag}
	return w.Push(t.Context(), from, func(push.Progress) {})
}

// mustPush pushes an archive with one image.
func (w *archiveWorld) mustPush(t *testing.T, tag string, content []byte) Pushed {
	t.Helper()
	pushed, err := w.push(t, tag, content)
	if err != nil || len(pushed) != 1 || pushed[0].Err != nil {
		t.Fatalf("Push = %+v, %v; want one image", pushed, err)
	}
	return pushed[0]
}

// files returns the paths of all files in the registry.
func (w *archiveWorld) files(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(w.root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the registry has just removed it
			return nil
		}
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, w.root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantEmpty waits until the registry has no files. It removes an upload that was interrupted once it notices that the client is gone.
func (w *archiveWorld) wantEmpty(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(5 * time.Second)
	for files := w.files(t); len(files) > 0; files = w.files(t) {
		select {
		case <-late:
			t.Fatalf("the registry has %q", files)
		case <-tick.C:
		}
	}
}

// presence returns what the registry has under a tag.
func (w *archiveWorld) presence(t *testing.T, repository, tag string) push.Presence {
	t.Helper()
	found, err := w.Registry.Presence(t.Context(), push.Target{Repository: repository, Reference: tag})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pull pulls an image, verifies the digests of its blobs, and returns the number of its layers.
func pull(t *testing.T, reference name.Reference) int {
	t.Helper()
	image, err := remote.Image(reference)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed() // as it is in the registry
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			t.Error(err)
		}
		if err := content.Close(); err != nil {
			t.Error(err)
		}
	}
	return len(layers)
}
