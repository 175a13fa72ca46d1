package registry_test

import (
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kind-local-registry/internal/pagecache/pagecachetest"
)

func TestNew_DropsPulledBlobFromPageCache(t *testing.T) {
	t.Parallel()
	const size = 20_000_000
	root := t.TempDir()
	layer, err := random.Layer(size, "application/vnd.oci.image.layer.v1.tar")
	if err != nil {
		t.Fatal(err)
	}
	d, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	repository := parse(t, start(t, root)+"/a/b:1").Context()
	if err := remote.WriteLayer(repository, layer, options(t)...); err != nil {
		t.Fatalf("pushing: %v", err)
	}
	blob := filepath.Join(root, "docker/registry/v2/blobs/sha256", d.Hex[:2], d.Hex, "data")
	pagecachetest.NeedDisk(t, blob)
	if kept := pagecachetest.Cached(t, blob); kept < size {
		t.Errorf("%d bytes of a pushed blob in the page cache, want all %d", kept, size)
	}
	pulled, err := remote.Layer(repository.Digest(d.String()), options(t)...)
	if err != nil {
		t.Fatal(err)
	}
	content, err := pulled.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, content)
	if err := errors.Join(err, content.Close()); err != nil {
		t.Fatalf("pulling: %v", err)
	}
	// The registry sends the last byte before it closes the file and drops the last pages.
	for range 100 {
		if pagecachetest.Cached(t, blob) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d bytes of a pulled blob in the page cache, want none", pagecachetest.Cached(t, blob))
}
